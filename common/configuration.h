// Who the members of the cluster are from some point of the log on (rule 14), and the body of the entry that says so.
#ifndef FILA_COMMON_CONFIGURATION_H_
#define FILA_COMMON_CONFIGURATION_H_

#include <optional>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/record.h"

namespace fila {

// A configuration of the log. The first is the formation, at index 0. Plain value.
struct Configuration {
  LogIndex index = 0;           // of its entry
  Epoch epoch;                  // in which that entry was made
  std::vector<Member> members;  // by id; empty: its entry can't be read

  bool Has(Member member) const;

  friend bool operator==(const Configuration&, const Configuration&) = default;
};

// The body of an entry of kind kConfig.
std::string EncodeMembers(const std::vector<Member>& members);
// Nothing if it is none.
std::optional<std::vector<Member>> DecodeMembers(const std::string& body);

}  // namespace fila

#endif  // FILA_COMMON_CONFIGURATION_H_
