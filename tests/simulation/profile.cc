#include "tests/simulation/profile.h"

#include <algorithm>
#include <type_traits>

#include "absl/time/time.h"

namespace fila::sim {
namespace {

using replica::PlantedBug;

// Short timeouts, so that much happens in a second.
void SetTimeouts(Profile* profile, Random* random) {
  const int64_t scale = random->Between(1, 3);
  profile->options.heartbeat_interval = absl::Milliseconds(20 * scale);
  profile->options.heartbeat_timeout = absl::Milliseconds(100 * scale);
  profile->options.election_timeout = absl::Milliseconds(40 * scale);
  profile->options.prepare_timeout = absl::Milliseconds(80 * scale);
  profile->options.reconnect_grace = absl::Milliseconds(random->Between(2, 30));
  profile->options.time_sync_interval = absl::Milliseconds(random->Between(20, 500));
  if (random->Chance(0.3)) profile->options.max_election_lag = random->Below(20);
  if (random->Chance(0.4)) profile->options.mutex_mode = replica::MutexMode::kClassic;
  profile->options.preempt = random->Chance(0.8);
  profile->options.handover_interval = absl::Milliseconds(random->Chance(0.5) ? 0 : random->Between(0, 500));
}

// Small bounds, so that short logs meet them: SYNC in many parts, promises in pages, entries that are no longer in
// memory.
void SetLimits(Profile* profile, Random* random) {
  replica::Limits& limits = profile->options.limits;
  const auto sometimes = [random](auto* limit, int64_t low, int64_t high) {
    if (random->Chance(0.5)) *limit = static_cast<std::decay_t<decltype(*limit)>>(random->Between(low, high));
  };
  sometimes(&limits.window_bytes, 100, 4000);
  sometimes(&limits.window_entries, 2, 30);
  sometimes(&limits.batch_bytes, 50, 1000);
  sometimes(&limits.batch_commands, 1, 5);
  sometimes(&limits.batches_in_flight, 1, 8);
  sometimes(&limits.sync_part_bytes, 50, 1000);
  sometimes(&limits.sync_bytes_per_request, 100, 4000);
  sometimes(&limits.apply_bytes, 100, 1000);
  sometimes(&limits.apply_entries, 1, 10);
  sometimes(&limits.returning_lag, 2, 50);
  sometimes(&limits.handover_lag, 0, 10);
  sometimes(&limits.identities_per_page, 1, 5);
  sometimes(&limits.body_bytes_kept, 0, 2000);
  sometimes(&limits.identities_kept, 1, 30);
}

void SetNetwork(Profile* profile, Random* random) {
  NetworkProfile& network = profile->network;
  network.delay.high = random->Chance(0.5) ? 500 : random->Between(500, 10 * kMillisecond);
  if (random->Chance(0.3)) network.slow_chance = 0.02;
  if (random->Chance(0.1)) network.slow.high = kSecond;
  if (!random->Chance(0.5)) return;
  network.mode = LinkMode::kDatagram;
  network.loss = random->Chance(0.3) ? 0.3 : 0.05;
  network.duplicate = random->Chance(0.5) ? 0.1 : 0;
}

void SetDisk(Profile* profile, Random* random) {
  DiskProfile& disk = profile->disk;
  disk.sync.high = random->Chance(0.5) ? 2000 : random->Between(2000, 30 * kMillisecond);
  if (random->Chance(0.3)) disk.stall_chance = 0.02;
  if (random->Chance(0.3)) disk.apply.high = 20 * kMillisecond;
  disk.flush_chance = random->Chance(0.5) ? 0.03 : 0.3;
}

// Each kind of fault is there in some worlds only, so that each meets quiet and company.
void SetFaults(Profile* profile, Random* random) {
  FaultProfile& faults = profile->faults;
  const auto weight = [random](double chance, uint32_t value) { return random->Chance(chance) ? value : 0; };
  faults.break_stream = 1;
  faults.kill = weight(0.6, 4);
  faults.power_loss = weight(0.6, 4);
  faults.kill_leader = weight(0.5, 4);
  faults.kill_all = weight(0.3, 1);
  faults.power_loss_all = weight(0.3, 1);
  faults.pause = weight(0.4, 3);
  faults.cut_link = weight(0.5, 3);
  faults.isolate = weight(0.5, 3);
  faults.split = weight(0.4, 2);
  faults.bridge = weight(0.3, 2);
  faults.partial = weight(0.4, 3);
  faults.stall_disk = weight(0.3, 2);
  faults.disk_low = weight(0.1, 2);
  faults.clock_jump = weight(0.2, 2);
  faults.clock_freeze = weight(0.2, 2);
  faults.wipe = weight(0.25, 2);
  faults.transfer = weight(0.5, 4);
  faults.terminate = weight(0.4, 3);
  if (random->Chance(0.3)) faults.damage_chance = 0.3;
  if (random->Chance(0.5)) faults.step_crash = 0.3;
  faults.power_loss_at_step = random->Chance(0.5);
  if (random->Chance(0.3)) faults.interval = {5 * kMillisecond, 60 * kMillisecond};
  if (random->Chance(0.3)) faults.outage.high = 60 * kMillisecond;
}

// Everything must go on for good over a chain or a star of links. Paths of several hops need links that are quick
// compared with the timeouts.
void SetLastingLinks(Profile* profile, Random* random) {
  if (profile->nodes < 3 || !random->Chance(0.25)) return;
  profile->lasting_links = random->Chance(0.5) ? LastingLinks::kChain : LastingLinks::kStar;
  profile->network.delay.high = std::min(profile->network.delay.high, 2 * kMillisecond);
}

// Nothing goes wrong, and the lead changes hands again and again.
void MakeCalm(Profile* profile) {
  profile->name = "calm";
  profile->lasting_links = LastingLinks::kAll;
  profile->no_call_may_fail = true;
  profile->network = {};
  profile->disk = {};
  profile->clock_drift = 0;
  profile->options.preempt = true;
  profile->faults = {};
  profile->faults.transfer = 4;
  profile->faults.terminate = 1;
  profile->clients.deadline = {3 * kSecond, 5 * kSecond};
}

// Many want the write section, and a follower restarts again and again while another's request for it is stuck.
void MakeRestless(Profile* profile) {
  MakeCalm(profile);
  profile->name = "restless";
  profile->no_call_may_fail = false;
  profile->options.mutex_mode = replica::MutexMode::kClassic;
  profile->options.heartbeat_interval = absl::Milliseconds(100);
  profile->options.heartbeat_timeout = absl::Milliseconds(500);
  profile->disk.sync = {kMillisecond, 30 * kMillisecond};
  profile->faults = {.interval = {40 * kMillisecond, 90 * kMillisecond}, .forget_grant = 1};
  profile->clients.clients = 10;
  profile->clients.think = {0, 5 * kMillisecond};
  profile->clients.deadline = {50 * kMillisecond, 300 * kMillisecond};
}

}  // namespace

Profile DrawProfile(uint64_t seed, size_t nodes) {
  Random random(seed ^ 0x70726f66696c65U);
  Profile profile;
  profile.name = "mix";
  const uint64_t kind = random.Below(10);
  profile.nodes = nodes != 0 ? nodes : kind < 1 ? 1 : kind < 7 ? 3 : 5;
  profile.faults_until = random.Between(kSecond, 3 * kSecond);
  profile.faults_while_forming = random.Chance(0.1);
  SetTimeouts(&profile, &random);
  if (random.Chance(0.6)) SetLimits(&profile, &random);
  SetNetwork(&profile, &random);
  SetDisk(&profile, &random);
  SetFaults(&profile, &random);
  if (profile.nodes == 1) profile.faults.damage_chance = 0;
  if (random.Chance(0.2)) profile.clock_drift = 0.1;
  if (random.Chance(0.3)) profile.options.readmit_wiped = replica::Readmit::kByLeader;
  profile.clients.prefer_leader = random.Chance(0.3);
  profile.clients.clients = static_cast<size_t>(random.Between(2, 5));
  if (random.Chance(0.6)) profile.clients.max_attempts = static_cast<uint32_t>(random.Between(1, 4));
  SetLastingLinks(&profile, &random);
  const uint64_t special = profile.faults_while_forming ? 0 : random.Below(20);
  if (special == 1 || special == 2) MakeCalm(&profile);
  if (special == 3) MakeRestless(&profile);
  if (random.Chance(0.5)) {
    profile.disk.retain_entries = random.Below(30);
    profile.disk.flush_chance = 0.3;
  }
  if (random.Chance(0.2)) profile.disk.copy.high = 300 * kMillisecond;
  return profile;
}

Profile ProfileFor(PlantedBug bug, uint64_t seed, size_t nodes) {
  Profile profile = DrawProfile(seed, nodes);
  profile.options.planted_bug = bug;
  if (bug == PlantedBug::kUncommittedConfigAdmits) {
    profile.faults.wipe = 4;
    profile.options.readmit_wiped = replica::Readmit::kByLeader;
  }
  if (bug == PlantedBug::kPermissionSurvivesRestart) MakeRestless(&profile);
  if (bug == PlantedBug::kTokenNotChecked) {
    // Elections would hide it: whoever has prevotes may raise an epoch.
    MakeCalm(&profile);
    profile.no_call_may_fail = false;
    profile.network = {.mode = LinkMode::kDatagram, .slow_chance = 0.05, .duplicate = 0.3};
  }
  if (bug == PlantedBug::kReadWithoutARound) {
    profile.clients.read = 0.6;  // in the moment when two lead
    profile.clients.prefer_leader = false;
  }
  if (bug == PlantedBug::kSnapshotWithoutItsIndex) {
    profile.faults.wipe = 4;
    profile.options.readmit_wiped = replica::Readmit::kByLeader;
    profile.disk.retain_entries = 0;
    profile.disk.flush_chance = 0.5;
  }
  return profile;
}

const std::vector<NamedBug>& AllBugs() {
  static const std::vector<NamedBug> bugs = {
      {PlantedBug::kPromiseNotSynced, "promise_not_synced", 3, 100},
      {PlantedBug::kPrepareNotSynced, "prepare_not_synced", 3, 100},
      {PlantedBug::kPresumedAbort, "presumed_abort", 3, 300},
      {PlantedBug::kLongestLogAdopted, "longest_log_adopted", 3, 300},
      {PlantedBug::kBullyWithoutPromise, "bully_without_promise", 3, 300},
      {PlantedBug::kLeaderKeepsItsOwnLog, "leader_keeps_its_own_log", 3, 300},
      {PlantedBug::kReplyBeforeCommit, "reply_before_commit", 3, 300},
      {PlantedBug::kNoEpochFencing, "no_epoch_fencing", 3, 300},
      {PlantedBug::kCommitFromAnotherEpoch, "commit_from_another_epoch", 3, 300},
      {PlantedBug::kSyncNotAtomic, "sync_not_atomic", 3, 300},
      {PlantedBug::kBlankPrepareCounts, "blank_prepare_counts", 3, 300},
      {PlantedBug::kUncommittedConfigAdmits, "uncommitted_config_admits", 3, 300},
      {PlantedBug::kSurvivorsAssertedBeforeSync, "survivors_asserted_before_sync", 3, 300},
      {PlantedBug::kClusterTimeGoesBack, "cluster_time_goes_back", 3, 300},
      {PlantedBug::kRelayForgetsDuplicates, "relay_forgets_duplicates", 3, 300},
      {PlantedBug::kRelayKeepsTheTtl, "relay_keeps_the_ttl", 3, 300},
      {PlantedBug::kRelayedIsTheRelays, "relayed_is_the_relays", 5, 300},
      {PlantedBug::kNothingIsRelayed, "nothing_is_relayed", 3, 300},
      {PlantedBug::kStaleLeaseTokenAccepted, "stale_lease_token_accepted", 3, 300},
      {PlantedBug::kPermissionSurvivesRestart, "permission_survives_restart", 3, 1000},
      {PlantedBug::kMutexIgnoresOrder, "mutex_ignores_order", 3, 100},
      {PlantedBug::kHandoverBeforeDrain, "handover_before_drain", 3, 100},
      {PlantedBug::kHandoverKeepsAdmitting, "handover_keeps_admitting", 3, 100},
      {PlantedBug::kReadWithoutARound, "read_without_a_round", 3, 1000},
      {PlantedBug::kTokenNotChecked, "token_not_checked", 3, 300},
      {PlantedBug::kDedupForgottenAtFailover, "dedup_forgotten_at_failover", 3, 300},
      {PlantedBug::kExpiryNotReplicated, "expiry_not_replicated", 3, 300},
      {PlantedBug::kSnapshotWithoutItsIndex, "snapshot_without_its_index", 3, 300},
  };
  return bugs;
}

}  // namespace fila::sim
