#include <sys/epoll.h>
#include <sys/eventfd.h>

/* Glibc declares these for _GNU_SOURCE only, which Swift's Glibc module does not set. Without the flags of
   their own calls, a child spawned at the wrong moment would inherit the descriptors. */
struct sockaddr;
extern int pipe2(int descriptors[2], int flags);
extern int mkostemp(char *name, int flags);
extern int accept4(int socket, struct sockaddr *address, unsigned int *length, int flags);
