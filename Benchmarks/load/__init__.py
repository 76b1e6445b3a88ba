"""Load generators and the peers that Parley is measured beside."""
