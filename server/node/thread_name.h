// Names for people who look at a node with top or a debugger.
#ifndef FILA_SERVER_NODE_THREAD_NAME_H_
#define FILA_SERVER_NODE_THREAD_NAME_H_

#include <pthread.h>

namespace fila::node {

// Names the calling thread; at most 15 characters.
inline void NameThisThread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace fila::node

#endif  // FILA_SERVER_NODE_THREAD_NAME_H_
