#include "server/queue/rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/invariant.h"

namespace fila::queue {
namespace {

std::string_view StartKey(RowKind kind, std::string* key) {
  key->assign(1, static_cast<char>(kind));
  return *key;
}

}  // namespace

void RowWriter::Varint(uint64_t value) {
  char bytes[10];
  size_t size = 0;
  for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
  bytes[size++] = static_cast<char>(value);
  out_->append(bytes, size);
}

void RowWriter::Fixed64(uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out_->append(bytes, sizeof(bytes));
}

void RowWriter::BigEndian32(uint32_t value) {
  char bytes[4];
  for (int i = 0; i < 4; ++i) bytes[i] = static_cast<char>(value >> (24 - 8 * i));
  out_->append(bytes, sizeof(bytes));
}

void RowWriter::BigEndian64(uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  out_->append(bytes, sizeof(bytes));
}

std::string_view RowReader::Take(size_t bytes) {
  FILA_INVARIANT(bytes <= in_.size(), "a row of the task state ends early");
  const std::string_view taken = in_.substr(0, bytes);
  in_.remove_prefix(bytes);
  return taken;
}

uint8_t RowReader::Byte() { return static_cast<uint8_t>(Take(1)[0]); }

uint64_t RowReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = Byte();
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  FILA_INVARIANT(false, "a number in a row of the task state is too long");
}

uint64_t RowReader::Fixed64() {
  const std::string_view bytes = Take(8);
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = (value << 8) | static_cast<uint8_t>(bytes[static_cast<size_t>(i)]);
  return value;
}

uint32_t RowReader::BigEndian32() {
  uint32_t value = 0;
  for (const char byte : Take(4)) value = (value << 8) | static_cast<uint8_t>(byte);
  return value;
}

uint64_t RowReader::BigEndian64() {
  uint64_t value = 0;
  for (const char byte : Take(8)) value = (value << 8) | static_cast<uint8_t>(byte);
  return value;
}

std::string_view RowReader::String() {
  const uint64_t size = Varint();
  return Take(size);
}

std::string_view KindKey(RowKind kind, std::string* key) { return StartKey(kind, key); }

std::string_view QueueKey(std::string_view name, std::string* key) {
  StartKey(RowKind::kQueue, key);
  return key->append(name);
}

std::string_view QueueNameKey(uint32_t queue, std::string* key) {
  StartKey(RowKind::kQueueName, key);
  RowWriter(key).BigEndian32(queue);
  return *key;
}

std::string_view TaskKey(uint32_t queue, std::string_view task_id, std::string* key) {
  StartKey(RowKind::kTask, key);
  RowWriter(key).BigEndian32(queue);
  return key->append(task_id);
}

std::string_view SequenceKey(RowKind kind, uint32_t queue, uint64_t sequence, std::string* key) {
  StartKey(kind, key);
  RowWriter writer(key);
  writer.BigEndian32(queue);
  writer.BigEndian64(sequence);
  return *key;
}

std::string_view DueKey(RowKind kind, int64_t due_us, uint64_t unique, std::string* key) {
  StartKey(kind, key);
  RowWriter writer(key);
  writer.BigEndian64(static_cast<uint64_t>(due_us));
  writer.BigEndian64(unique);
  return *key;
}

std::string_view RequestKey(uint32_t queue, std::string_view worker_id, std::string_view request_id, std::string* key) {
  StartKey(RowKind::kRequest, key);
  RowWriter writer(key);
  writer.BigEndian32(queue);
  writer.String(worker_id);
  return key->append(request_id);
}

uint64_t SequenceOf(std::string_view sequence_key) {
  RowReader reader(sequence_key);
  reader.Byte();
  reader.BigEndian32();
  return reader.BigEndian64();
}

int64_t DueTimeOf(std::string_view due_key) {
  RowReader reader(due_key);
  reader.Byte();
  return static_cast<int64_t>(reader.BigEndian64());
}

void Encode(const MetaRow& row, std::string* out) {
  RowWriter writer(out);
  writer.Varint(row.applied.index);
  writer.Varint(row.applied.epoch.round);
  writer.Varint(ToInt(row.applied.epoch.node));
  writer.Fixed64(row.applied.hash);
  writer.Fixed64(static_cast<uint64_t>(row.applied.cluster_time_us));
  writer.Fixed64(row.applied.state_hash);
  writer.Fixed64(static_cast<uint64_t>(row.lease_floor_us));
  writer.Fixed64(static_cast<uint64_t>(row.delay_due_us));
  writer.Fixed64(static_cast<uint64_t>(row.forget_due_us));
  writer.Varint(row.next_token);
  writer.Varint(row.next_sequence);
  writer.Varint(row.next_queue);
  writer.Varint(row.task_count);
}

MetaRow DecodeMeta(std::string_view bytes) {
  RowReader reader(bytes);
  MetaRow row;
  row.applied.index = reader.Varint();
  row.applied.epoch.round = reader.Varint();
  row.applied.epoch.node = NodeId{static_cast<uint32_t>(reader.Varint())};
  row.applied.hash = reader.Fixed64();
  row.applied.cluster_time_us = static_cast<int64_t>(reader.Fixed64());
  row.applied.state_hash = reader.Fixed64();
  row.lease_floor_us = static_cast<int64_t>(reader.Fixed64());
  row.delay_due_us = static_cast<int64_t>(reader.Fixed64());
  row.forget_due_us = static_cast<int64_t>(reader.Fixed64());
  row.next_token = reader.Varint();
  row.next_sequence = reader.Varint();
  row.next_queue = static_cast<uint32_t>(reader.Varint());
  row.task_count = reader.Varint();
  return row;
}

void Encode(const Configuration& row, std::string* out) {
  RowWriter writer(out);
  writer.Varint(row.index);
  writer.Varint(row.epoch.round);
  writer.Varint(ToInt(row.epoch.node));
  for (const Member& member : row.members) {
    writer.Varint(ToInt(member.id));
    writer.Fixed64(ToInt(member.incarnation));
  }
}

Configuration DecodeConfiguration(std::string_view bytes) {
  RowReader reader(bytes);
  Configuration row;
  row.index = reader.Varint();
  row.epoch.round = reader.Varint();
  row.epoch.node = NodeId{static_cast<uint32_t>(reader.Varint())};
  while (!reader.empty()) {
    Member member;
    member.id = NodeId{static_cast<uint32_t>(reader.Varint())};
    member.incarnation = Incarnation{reader.Fixed64()};
    row.members.push_back(member);
  }
  return row;
}

void Encode(const QueueRow& row, std::string* out) {
  RowWriter writer(out);
  writer.Varint(row.number);
  writer.Varint(static_cast<uint64_t>(row.dedup_window_us));
  writer.Varint(row.ready);
  writer.Varint(row.leased);
  writer.Varint(row.delayed);
  writer.Varint(row.head);
  writer.Varint(row.returned);
  writer.Varint(row.returned == 0 ? 0 : row.returned_from);
  writer.Varint(row.max_attempts);
  writer.Varint(row.dead);
  writer.Varint(row.dead == 0 ? 0 : row.dead_from);
}

QueueRow DecodeQueue(std::string_view bytes) {
  RowReader reader(bytes);
  QueueRow row;
  row.number = static_cast<uint32_t>(reader.Varint());
  row.dedup_window_us = static_cast<int64_t>(reader.Varint());
  row.ready = reader.Varint();
  row.leased = reader.Varint();
  row.delayed = reader.Varint();
  row.head = reader.Varint();
  row.returned = reader.Varint();
  row.returned_from = reader.Varint();
  if (row.returned == 0) row.returned_from = kNoSequence;
  if (reader.empty()) return row;  // written before there were dead tasks
  row.max_attempts = static_cast<uint32_t>(reader.Varint());
  row.dead = reader.Varint();
  row.dead_from = reader.Varint();
  if (row.dead == 0) row.dead_from = kNoSequence;
  return row;
}

// The state has two bits: a task that is out of play is ended if its last lease was acked, and else dead.
void Encode(const TaskRow& row, std::string* out) {
  const TaskState state = std::min(row.state, TaskState::kEnded);
  RowWriter writer(out);
  writer.Byte(static_cast<uint8_t>(static_cast<unsigned>(state) | static_cast<unsigned>(row.last_end) << 2 |
                                   (row.in_line ? 0x20U : 0U) | (row.apart ? 0x40U : 0U) | (row.sole ? 0x80U : 0U)));
  writer.Fixed64(row.content_hash);
  writer.Varint(row.epoch.round);
  writer.Varint(ToInt(row.epoch.node));
  writer.Varint(row.index);
  writer.Varint(static_cast<uint64_t>(row.enqueued_us));
  writer.Varint(row.sequence);
  writer.Varint(row.content_bytes);
  writer.Varint(row.attempt);
  // A task that was never leased nor delayed needs no more.
  if (row.token == 0 && row.due_us == 0) return;
  writer.Varint(row.token);
  writer.Varint(static_cast<uint64_t>(row.due_us));
  writer.String(row.worker_id);
  writer.String(row.request_id);
  writer.Varint(0);  // of a text that rows no longer have
  const bool leased = row.state == TaskState::kLeased;
  if (!leased && row.attempts_forgiven == 0) return;
  writer.Varint(leased ? static_cast<uint64_t>(row.due_us - row.leased_us) : 0);
  if (row.attempts_forgiven != 0) writer.Varint(row.attempts_forgiven);
}

TaskRow DecodeTask(std::string_view bytes) {
  RowReader reader(bytes);
  TaskRow row;
  const unsigned flags = reader.Byte();
  row.state = static_cast<TaskState>(flags & 3U);
  row.last_end = static_cast<LeaseEnd>(flags >> 2 & 7U);
  if (row.state == TaskState::kEnded && row.last_end != LeaseEnd::kAcked) row.state = TaskState::kDead;
  row.in_line = (flags & 0x20U) != 0;
  row.apart = (flags & 0x40U) != 0;
  row.sole = (flags & 0x80U) != 0;
  row.content_hash = reader.Fixed64();
  row.epoch.round = reader.Varint();
  row.epoch.node = NodeId{static_cast<uint32_t>(reader.Varint())};
  row.index = reader.Varint();
  row.enqueued_us = static_cast<int64_t>(reader.Varint());
  row.sequence = reader.Varint();
  row.content_bytes = reader.Varint();
  row.attempt = static_cast<uint32_t>(reader.Varint());
  if (reader.empty()) return row;
  row.token = reader.Varint();
  row.due_us = static_cast<int64_t>(reader.Varint());
  row.worker_id = reader.String();
  row.request_id = reader.String();
  reader.String();
  if (reader.empty()) return row;
  const auto leased_for_us = static_cast<int64_t>(reader.Varint());
  if (row.state == TaskState::kLeased) row.leased_us = row.due_us - leased_for_us;
  if (!reader.empty()) row.attempts_forgiven = static_cast<uint32_t>(reader.Varint());
  return row;
}

void Encode(const std::vector<AttemptRow>& attempts, std::string* out) {
  RowWriter writer(out);
  for (const AttemptRow& attempt : attempts) {
    writer.Varint(attempt.attempt);
    writer.Byte(static_cast<uint8_t>(attempt.end));
    writer.Varint(static_cast<uint64_t>(attempt.leased_us));
    writer.Varint(static_cast<uint64_t>(attempt.ended_us));
    writer.String(attempt.worker_id);
    writer.String(attempt.reason);
  }
}

std::vector<AttemptRow> DecodeAttempts(std::string_view bytes) {
  RowReader reader(bytes);
  std::vector<AttemptRow> attempts;
  while (!reader.empty()) {
    AttemptRow& attempt = attempts.emplace_back();
    attempt.attempt = static_cast<uint32_t>(reader.Varint());
    attempt.end = static_cast<AttemptEnd>(reader.Byte());
    attempt.leased_us = static_cast<int64_t>(reader.Varint());
    attempt.ended_us = static_cast<int64_t>(reader.Varint());
    attempt.worker_id = reader.String();
    attempt.reason = reader.String();
  }
  return attempts;
}

void EncodeLine(std::string_view task_id, std::string_view task_row, std::string* out) {
  RowWriter writer(out);
  writer.String(task_id);
  writer.String(task_row);
}

LineRow DecodeLine(std::string_view bytes) {
  RowReader reader(bytes);
  LineRow row;
  row.task_id = reader.String();
  row.task = DecodeTask(reader.String());
  row.content = reader.rest();
  return row;
}

void Encode(const TaskName& name, std::string* out) {
  RowWriter(out).Varint(name.queue);
  out->append(name.task_id);
}

TaskName DecodeTaskName(std::string_view bytes) {
  RowReader reader(bytes);
  const auto queue = static_cast<uint32_t>(reader.Varint());
  return {queue, reader.rest()};
}

ForgetRow DecodeForget(std::string_view bytes) {
  RowReader reader(bytes);
  ForgetRow row;
  row.queue = static_cast<uint32_t>(reader.Varint());
  while (!reader.empty()) row.task_ids.push_back(reader.String());
  return row;
}

// The deliveries stand in the place of two leases, under a task id that no task has.
void Encode(const RequestRow& row, std::string* out) {
  RowWriter writer(out);
  if (row.deliveries != 0 || row.undelivered != 0) {
    for (const uint64_t number : {row.deliveries, row.undelivered}) {
      writer.String({});
      writer.Varint(number);
    }
  }
  for (const RequestLease& lease : row.leases) {
    writer.String(lease.task_id);
    writer.Varint(lease.token);
  }
}

RequestRow DecodeRequest(std::string_view bytes) {
  RowReader reader(bytes);
  RequestRow row;
  uint64_t* next = &row.deliveries;
  while (!reader.empty()) {
    const std::string_view task_id = reader.String();
    const uint64_t number = reader.Varint();
    if (task_id.empty()) {
      *std::exchange(next, &row.undelivered) = number;
    } else {
      row.leases.push_back({task_id, number});
    }
  }
  return row;
}

}  // namespace fila::queue
