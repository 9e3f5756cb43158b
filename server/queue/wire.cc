#include "server/queue/wire.h"

#include <algorithm>

namespace fila::queue {
namespace {

constexpr uint32_t kVarint = 0;
constexpr uint32_t kBytes = 2;
constexpr uint32_t Tag(uint32_t field, uint32_t type) { return field << 3 | type; }

// Takes fields off; any surprise makes it bad for good.
class WireReader {
 public:
  explicit WireReader(std::string_view in) : in_(in) {}
  bool good() const { return good_; }
  bool done() const { return in_.empty() || !good_; }

  // All tags here are of one byte.
  uint32_t NextTag() {
    const auto tag = static_cast<uint8_t>(in_.front());
    in_.remove_prefix(1);
    return tag;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      if (in_.empty()) break;
      const auto byte = static_cast<uint8_t>(in_.front());
      in_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    good_ = false;
    return 0;
  }
  std::string_view Bytes() {
    const uint64_t size = Varint();
    if (size > in_.size()) good_ = false;
    if (!good_) return {};
    const std::string_view bytes = in_.substr(0, size);
    in_.remove_prefix(size);
    return bytes;
  }
  // What protobuf would refuse must not pass here: it checks UTF-8, and this only knows ASCII.
  std::string_view Text() {
    const std::string_view text = Bytes();
    if (std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; })) good_ = false;
    return text;
  }
  void Surprise() { good_ = false; }

 private:
  std::string_view in_;
  bool good_ = true;
};

// Calls `field(tag, reader)` for each field; tags must not fall, so that no field comes twice but a repeated one.
template <typename OnField>
bool ReadFields(std::string_view in, uint32_t repeated_tag, const OnField& field) {
  WireReader reader(in);
  uint32_t last = 0;
  while (!reader.done()) {
    const uint32_t tag = reader.NextTag();
    if (tag < last || (tag == last && tag != repeated_tag)) return false;
    last = tag;
    field(tag, &reader);
  }
  return reader.good();
}

bool ReadHeader(std::string_view in, HeaderView* header) {
  return ReadFields(in, 0, [&](uint32_t tag, WireReader* reader) {
    switch (tag) {
      case Tag(1, kBytes):
        header->name = reader->Text();
        return;
      case Tag(2, kBytes):
        header->value = reader->Text();
        return;
      default:
        reader->Surprise();
    }
  });
}

bool ReadTask(std::string_view in, EnqueueView* view) {
  TaskToAddView task;
  task.headers_from = view->headers.size();
  const bool read = ReadFields(in, Tag(3, kBytes), [&](uint32_t tag, WireReader* reader) {
    switch (tag) {
      case Tag(1, kBytes):
        task.task_id = reader->Text();
        return;
      case Tag(2, kBytes):
        task.payload = reader->Bytes();
        return;
      case Tag(3, kBytes):
        if (!ReadHeader(reader->Bytes(), &view->headers.emplace_back())) reader->Surprise();
        return;
      case Tag(4, kVarint):
        task.delay_us = static_cast<int64_t>(reader->Varint());
        return;
      default:
        reader->Surprise();
    }
  });
  task.headers_size = view->headers.size() - task.headers_from;
  view->tasks.push_back(task);
  return read;
}

void Clear(EnqueueView* view) {
  view->queue = {};
  view->tasks.clear();
  view->headers.clear();
  view->atomic = false;
  view->dedup_window_us = 0;
  view->max_attempts = 0;
}

}  // namespace

bool ReadBatch(std::string_view body, uint32_t* apply_version, std::vector<std::string_view>* commands) {
  *apply_version = 0;
  commands->clear();
  return ReadFields(body, Tag(2, kBytes), [&](uint32_t tag, WireReader* reader) {
    switch (tag) {
      case Tag(1, kVarint):
        *apply_version = static_cast<uint32_t>(reader->Varint());
        return;
      case Tag(2, kBytes):
        commands->push_back(reader->Bytes());
        return;
      default:
        reader->Surprise();
    }
  });
}

bool ReadEnqueue(std::string_view command, EnqueueView* view) {
  WireReader outer(command);
  if (outer.done() || outer.NextTag() != Tag(1, kBytes)) return false;
  const std::string_view enqueue = outer.Bytes();
  if (!outer.good() || !outer.done()) return false;
  Clear(view);
  return ReadFields(enqueue, Tag(2, kBytes), [&](uint32_t tag, WireReader* reader) {
    switch (tag) {
      case Tag(1, kBytes):
        view->queue = reader->Text();
        return;
      case Tag(2, kBytes):
        if (!ReadTask(reader->Bytes(), view)) reader->Surprise();
        return;
      case Tag(3, kVarint):
        view->atomic = reader->Varint() != 0;
        return;
      case Tag(4, kVarint):
        view->dedup_window_us = static_cast<int64_t>(reader->Varint());
        return;
      case Tag(5, kVarint):
        view->max_attempts = static_cast<uint32_t>(reader->Varint());
        return;
      default:
        reader->Surprise();
    }
  });
}

void ViewEnqueue(const storage::v1::EnqueueCommand& command, EnqueueView* view) {
  Clear(view);
  view->queue = command.queue();
  view->atomic = command.atomic();
  view->dedup_window_us = command.dedup_window_us();
  view->max_attempts = command.max_attempts();
  for (const storage::v1::TaskToAdd& task : command.tasks()) {
    view->tasks.push_back({.task_id = task.task_id(),
                           .payload = task.payload(),
                           .headers_from = view->headers.size(),
                           .headers_size = static_cast<size_t>(task.headers_size()),
                           .delay_us = task.delay_us()});
    for (const storage::v1::Header& header : task.headers()) view->headers.push_back({header.name(), header.value()});
  }
}

}  // namespace fila::queue
