// The log of the programs: stderr, one `event key=value …` line an event, times in UTC with microseconds.
#ifndef FILA_SERVER_LOGGING_H_
#define FILA_SERVER_LOGGING_H_

namespace fila {

// Sets up glog. Once, before any other thread exists.
void StartLogging(const char* program);

}  // namespace fila

#endif  // FILA_SERVER_LOGGING_H_
