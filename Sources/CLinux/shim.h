#pragma once
// Linux calls that the Glibc module does not show. _GNU_SOURCE must not be defined here: it changes fd_set and
// sockaddr between two C modules and breaks clean builds, so hidden functions are declared by their symbol.
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
