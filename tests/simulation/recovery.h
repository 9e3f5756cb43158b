// What a restarted node finds: journal/log_map's reading of the records, held against the simulator's own.
#ifndef FILA_TESTS_SIMULATION_RECOVERY_H_
#define FILA_TESTS_SIMULATION_RECOVERY_H_

#include <cstdint>
#include <set>
#include <vector>

#include "common/record.h"
#include "tests/simulation/log_model.h"

namespace fila::sim {

// By journal/log_map, as journal::Open does it. `first` is the metadata that the disk began with; `damaged` are the
// numbers of the records whose bytes can't be read. Throws Violation("log map") for records that it refuses.
RecoveredLog RecoverFrom(const Metadata& first, const std::vector<Record>& records, const std::set<uint64_t>& damaged,
                         LogIndex identities_from);

// Throws Violation("log map") where the two differ.
void CheckRecovered(const RecoveredLog& recovered, const LogModel& model, const std::vector<LogIndex>& faulty);

}  // namespace fila::sim

#endif  // FILA_TESTS_SIMULATION_RECOVERY_H_
