#include "client/cli/json.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/protobuf/util/time_util.h"
#include "nlohmann/json.hpp"

namespace fila::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::util::TimeUtil;
using Json = nlohmann::ordered_json;

std::string Base64(std::string_view bytes) { return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size())); }

// A message field: the well-known types have forms of their own.
Json Inner(const Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Duration") {
    return TimeUtil::ToString(static_cast<const google::protobuf::Duration&>(message));
  }
  if (type == "google.protobuf.Timestamp") {
    return TimeUtil::ToString(static_cast<const google::protobuf::Timestamp&>(message));
  }
  return ToJson(message);
}

// One value: of a singular field (index -1) or of a repeated one.
Json Value(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection.GetInt32(message, &field) : reflection.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflection.GetInt64(message, &field) : reflection.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? reflection.GetUInt32(message, &field) : reflection.GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflection.GetUInt64(message, &field) : reflection.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection.GetDouble(message, &field) : reflection.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection.GetFloat(message, &field) : reflection.GetRepeatedFloat(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflection.GetBool(message, &field) : reflection.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number =
          one ? reflection.GetEnumValue(message, &field) : reflection.GetRepeatedEnumValue(message, &field, index);
      const auto* known = field.enum_type()->FindValueByNumber(number);
      return known == nullptr ? Json(number) : Json(known->name());
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text =
          one ? reflection.GetString(message, &field) : reflection.GetRepeatedString(message, &field, index);
      return field.type() == FieldDescriptor::TYPE_BYTES ? Base64(text) : text;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Inner(one ? reflection.GetMessage(message, &field)
                       : reflection.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

Json MapValue(const Message& message, const FieldDescriptor& field) {
  Json map = Json::object();
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < size; ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const Json key = Value(entry, *field.message_type()->map_key(), -1);
    map[key.is_string() ? key.get<std::string>() : key.dump()] = Value(entry, *field.message_type()->map_value(), -1);
  }
  return map;
}

Json ListValue(const Message& message, const FieldDescriptor& field) {
  Json list = Json::array();
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < size; ++i) list.push_back(Value(message, field, i));
  return list;
}

}  // namespace

Json ToJson(const Message& message) {
  Json json = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.is_map()) {
      json[field.name()] = MapValue(message, field);
    } else if (field.is_repeated()) {
      json[field.name()] = ListValue(message, field);
    } else if (field.has_presence() && !message.GetReflection()->HasField(message, &field)) {
      continue;  // absent is not the same as default
    } else if (field.type() == FieldDescriptor::TYPE_BYTES && field.name() == "payload") {
      PutPayload(message.GetReflection()->GetString(message, &field), json);
    } else {
      json[field.name()] = Value(message, field, -1);
    }
  }
  return json;
}

void PutPayload(std::string_view payload, Json& json) {
  if (IsUtf8(payload)) {
    json["payload"] = payload;
  } else {
    json["payload_base64"] = Base64(payload);
  }
}

std::string Print(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace fila::cli
