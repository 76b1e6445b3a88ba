"""What the end-to-end suite is made of: the server under test, its peers, and ears that recognise tones."""
