// Protobuf messages as the JSON that scripts read: protobuf's JSON mapping with proto names and defaults printed,
// except that 64-bit integers are numbers, and that bytes named `payload` are text when valid UTF-8; otherwise
// `payload_base64` takes their place.
#ifndef FILA_CLIENT_CLI_JSON_H_
#define FILA_CLIENT_CLI_JSON_H_

#include <string>
#include <string_view>

#include "google/protobuf/message.h"
#include "nlohmann/json_fwd.hpp"

namespace fila::cli {

nlohmann::ordered_json ToJson(const google::protobuf::Message& message);

// Sets `json["payload"]` or `json["payload_base64"]`.
void PutPayload(std::string_view payload, nlohmann::ordered_json& json);

// On one line, without its newline.
std::string Print(const nlohmann::ordered_json& json);

}  // namespace fila::cli

#endif  // FILA_CLIENT_CLI_JSON_H_
