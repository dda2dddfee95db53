// sock-zygote: an interpreter that has imported packages and is cloned into sandboxes.
// Started by sockd with its control socket as descriptor 3; see zygote/server.h.

#include <unistd.h>

#include "zygote/server.h"

// _exit, not return: the interpreter's destructors have nothing to say to anybody.
int main() { ::_exit(sock::zygote::serve()); }
