#pragma once
// Linux calls that the Glibc module does not show. _GNU_SOURCE must not be defined here: it changes fd_set and
// sockaddr between two C modules and breaks clean builds, so hidden functions are declared by their symbol.
#include <linux/filter.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

// recvmmsg(2) and its message, hidden by glibc without _GNU_SOURCE.
struct clinux_mmsghdr {
  struct msghdr msg_hdr;
  unsigned int msg_len;
};
extern int clinux_recvmmsg(int fd, struct clinux_mmsghdr *messages, unsigned int count, int flags,
                           void *timeout) __asm__("recvmmsg");

// accept4(2), hidden likewise.
extern int clinux_accept4(int fd, struct sockaddr *name, socklen_t *length, int flags) __asm__("accept4");

// epoll_pwait2(2): a timeout in nanoseconds (struct timespec), null for none.
extern int clinux_epoll_pwait2(int epoll, struct epoll_event *events, int capacity, const void *timeout,
                               const void *mask) __asm__("epoll_pwait2");

// pthread_setname_np(3), hidden likewise.
extern int clinux_setname(unsigned long thread, const char *name) __asm__("pthread_setname_np");

// CMSG_* are macros.
static inline struct cmsghdr *clinux_cmsg_first(struct msghdr *message) { return CMSG_FIRSTHDR(message); }
static inline unsigned char *clinux_cmsg_data(struct cmsghdr *header) { return CMSG_DATA(header); }
static inline size_t clinux_cmsg_length(size_t payload) { return CMSG_LEN(payload); }
static inline size_t clinux_cmsg_space(size_t payload) { return CMSG_SPACE(payload); }
