#include "pipeline/graph_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/info.h>
#include <oneapi/tbb/task_arena.h>

#include "pipeline/chunk_order.h"
#include "pipeline/errors.h"
#include "pipeline/spare_pool.h"
#include "pipeline/stage_registry.h"

namespace penstock {
namespace {

namespace flow = oneapi::tbb::flow;

// Multiplied with a chunk's bytes as it is read, for the text and the tokens that come of it; the
// exact figure replaces it as soon as the chunk has been through the parallel stages.
constexpr std::int64_t kReadCharge = 3;
// Small ones of which a chunk completes many. Large ones are bounded by the assembler.
constexpr std::size_t kMostSpentBatches = 256;
constexpr std::size_t kThreadStackBytes = std::size_t{8} << 20;

// A message to a lane's reader.
struct Credit {
  std::int64_t bytes = 0;  // given back to the lane's budget; negative: taken from it
  int dealt = 0;           // chunks of the lane that the order step has dealt
  bool read_next = false;  // a worker has begun on the lane's latest chunk
};

// The batches that one chunk completed: one message, so that many small ones cost little.
struct Shipment;
using ShipmentMessage = std::shared_ptr<Shipment>;
using SinkNode = flow::async_node<ShipmentMessage, flow::continue_msg, flow::queueing>;
struct Parcel;

// A batch that a sink is not finished with.
struct Delivery {
  BuiltSink* sink = nullptr;
  std::int64_t batch_index = 0;
  Parcel* parcel = nullptr;
  ShipmentMessage shipment;  // that the parcel is part of; null where nothing is delivered
  SinkNode::gateway_type* gateway = nullptr;
};

// A batch on its way through the sinks.
struct Parcel {
  std::shared_ptr<Batch> batch;                // let go of when every sink is finished with it
  std::int64_t charge = 0;                     // bytes
  std::int64_t tokens = 0;                     // packed into the batch
  std::atomic<std::ptrdiff_t> outstanding{0};  // sinks that are not finished with it
  std::vector<Delivery> deliveries;            // by sink
};

// Used again, with its parcels, when all of them have been delivered.
struct Shipment {
  int lane = 0;                             // whose budget holds the batches' bytes
  std::deque<Parcel> parcels;               // there may be more than are in use
  std::size_t num_parcels = 0;              // in use
  std::atomic<std::size_t> undelivered{0};  // of these
};

using ReaderNode = flow::multifunction_node<Credit, std::tuple<ChunkMessage>, flow::queueing>;
using ChainNode = flow::multifunction_node<ChunkMessage, std::tuple<ChunkMessage>, flow::queueing>;
using AssembleNode =
    flow::multifunction_node<ChunkMessage, std::tuple<ShipmentMessage>, flow::queueing>;

// The first failure wins; a sink's dropped batch gives way to the error that made it drop it.
class Failure {
 public:
  void set(std::exception_ptr error, bool dropped_batch) {
    const std::lock_guard lock(mutex_);
    if (!error_ || (dropped_batch_ && !dropped_batch)) {
      error_ = std::move(error);
      dropped_batch_ = dropped_batch;
    }
  }

  void rethrow() {
    const std::lock_guard lock(mutex_);
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  bool dropped_batch_ = false;
};

// How many chunks of a lane may be between its reader and the order step. It bounds how far lanes
// run ahead of each other where the byte budget is ample; the output does not depend on it.
int lane_window(int threads, int lanes) {
  return 2 + 2 * ((threads + lanes - 1) / lanes);
}

bool is_dropped_batch(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const DroppedBatch&) {
    return true;
  } catch (...) {
    return false;
  }
}

// A lane's reader: its serial node's body is the only one to touch it.
struct Lane {
  std::int64_t used_bytes = 0;
  std::int64_t usual_charge = 0;  // of its latest chunk
  std::int64_t next_index = 0;
  int undealt_chunks = 0;
  bool ended = false;
  bool held_back = false;  // a worker asked for a chunk, but the budget or the window was used up
  std::optional<std::chrono::steady_clock::time_point> over_budget_since;
};

class GraphRun {
 public:
  GraphRun(const GraphParts& parts, const std::stop_token& stop)
      : parts_(parts),
        stop_(stop),
        lane_budget_(parts.memory_limit / parts.source.lanes()),
        window_(lane_window(parts.threads, parts.source.lanes())),
        returned_bytes_(static_cast<std::size_t>(parts.source.lanes())),
        text_memory_(most_spare(parts)),
        token_memory_(most_spare(parts)),
        messages_(static_cast<std::size_t>(window_ * parts.source.lanes())),
        shipments_(most_spare(parts)),
        newly_spent_(kMostSpentBatches),
        lanes_(static_cast<std::size_t>(parts.source.lanes())),
        order_(parts.source.lanes(), first_turn(parts)) {
    if (parts.go_on_from != nullptr) {
      totals_ = parts.go_on_from->totals;
      shipped_tokens_ = parts.go_on_from->account.out;
    }
    if (parts.checkpoints != nullptr) {
      for (int lane = 0; lane < parts.source.lanes(); ++lane) {
        undealt_.push_back(place_of(lane));
      }
    }
    build();
  }

  // Returns whether the run was stopped.
  bool run() {
    {
      const std::stop_callback on_stop(stop_, [this] { cancel(); });
      for (ReaderNode& reader : readers_) {
        reader.try_put(Credit{.read_next = true});
      }
      graph_.wait_for_all();
    }
    end_abandoned_sinks();
    failure_.rethrow();
    if (stop_.stop_requested()) {
      return true;
    }
    if (!ended_) {
      throw std::logic_error("the graph went idle before the end of the stream");
    }
    return false;
  }

 private:
  void build() {
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
      readers_.emplace_back(graph_, flow::serial, [this, lane](const Credit& credit, auto& ports) {
        guard([&] { read(static_cast<int>(lane), credit, ports); });
      });
    }
    flow::sender<ChunkMessage>* tail = nullptr;
    const auto connect = [&](flow::receiver<ChunkMessage>& to) {
      if (tail != nullptr) {
        flow::make_edge(*tail, to);
      } else {
        for (ReaderNode& reader : readers_) {
          flow::make_edge(flow::output_port<0>(reader), to);
        }
      }
    };
    bool first = true;
    for (const auto& chain : parts_.chains) {
      ChainNode& node = chain->ordering() == Ordering::kParallel
                            ? add_parallel(*chain, std::exchange(first, false))
                            : add_in_order(*chain, std::exchange(first, false));
      connect(node);
      tail = &flow::output_port<0>(node);
    }
    assemble_.emplace(
        graph_, flow::serial, [this, first](const ChunkMessage& message, auto& ports) {
          guard([&] { assemble(message, first, ports); });
        });
    connect(*assemble_);
    for (std::size_t sink = 0; sink < parts_.sinks.size(); ++sink) {
      SinkNode& node = sinks_.emplace_back(
          graph_,
          flow::serial,
          [this, sink](const ShipmentMessage& message, SinkNode::gateway_type& gateway) {
            ship(sink, message, gateway);
          });
      flow::make_edge(flow::output_port<0>(*assemble_), node);
    }
  }

  static int first_turn(const GraphParts& parts) {
    return parts.go_on_from == nullptr ? 0 : parts.go_on_from->turn;
  }

  // ---- reading

  void read(int lane_number, const Credit& credit, ReaderNode::output_ports_type& ports) {
    const auto place = static_cast<std::size_t>(lane_number);
    Lane& lane = lanes_[place];
    use_bytes(lane, -credit.bytes - returned_bytes_[place].exchange(0));
    lane.undealt_chunks -= credit.dealt;
    if (lane.ended || (!credit.read_next && !lane.held_back)) {
      return;
    }
    const bool over_budget =
        lane.used_bytes > 0 && lane.used_bytes + lane.usual_charge > lane_budget_;
    count_blocked(lane, over_budget);
    lane.held_back = over_budget || lane.undealt_chunks >= window_;
    if (!lane.held_back) {
      std::get<0>(ports).try_put(next_chunk(lane, lane_number));
    }
  }

  void count_blocked(Lane& lane, bool over_budget) {
    const auto now = std::chrono::steady_clock::now();
    if (lane.over_budget_since) {
      parts_.source_metrics.blocked_ns +=
          std::chrono::duration_cast<std::chrono::nanoseconds>(now - *lane.over_budget_since)
              .count();
    }
    lane.over_budget_since = over_budget ? std::optional(now) : std::nullopt;
  }

  ChunkMessage next_chunk(Lane& lane, int lane_number) {
    ChunkMessage message = messages_.take();
    if (!message) {
      message = std::make_shared<LaneChunk>();
    }
    message->lane = lane_number;
    message->index = lane.next_index++;
    ++lane.undealt_chunks;
    try {
      std::optional<Chunk> chunk = next_of_source(lane_number);
      message->last = !chunk.has_value();
      if (chunk) {
        message->chunk = std::move(*chunk);
        message->charge = kReadCharge * memory_bytes(message->chunk);
        if (parts_.checkpoints != nullptr) {
          message->behind = place_of(lane_number);
        }
        count_read(message->chunk);
      }
    } catch (...) {
      message->last = true;
      message->failure = std::current_exception();
    }
    lane.ended = message->last;
    lane.usual_charge = message->charge;
    use_bytes(lane, message->charge);
    return message;
  }

  std::optional<Chunk> next_of_source(int lane_number) {
    try {
      SpareMemory spare = text_memory_.take();
      spare.keep(token_memory_.take());
      std::optional<BusyTimer> timer;
      if (!parts_.source.times_itself()) {
        timer.emplace(parts_.source_metrics.busy);
      }
      parts_.source.reuse(lane_number, std::move(spare));
      std::optional<Chunk> chunk = parts_.source.next(lane_number, stop_reading_.get_token());
      if (chunk && payload_of(*chunk) != parts_.source_output) {
        throw std::logic_error("it gave " + to_string(payload_of(*chunk)) + " but declares " +
                               to_string(parts_.source_output));
      }
      return chunk;
    } catch (...) {
      std::throw_with_nested(StageError("stage " + quoted_name(parts_.source_metrics) +
                                        " failed in lane " + std::to_string(lane_number)));
    }
  }

  LanePosition place_of(int lane) const {
    std::optional<LanePosition> place = parts_.source.position(lane);
    if (!place) {
      throw std::logic_error("stage '" + parts_.source_metrics.name +
                             "' does not tell where lane " + std::to_string(lane) + " reads on");
    }
    return *std::move(place);
  }

  void count_read(Chunk& chunk) {
    StageMetrics& metrics = parts_.source_metrics;
    ChunkInfo& read = info(chunk);
    for (Reject& reject : read.rejects) {
      reject.stage = metrics.name;
    }
    ++metrics.chunks;
    metrics.records += read.num_records;
    metrics.rejects += std::ssize(read.rejects);
  }

  void use_bytes(Lane& lane, std::int64_t bytes) {
    if (bytes == 0) {
      return;
    }
    lane.used_bytes += bytes;
    const std::int64_t now = parts_.counters.in_flight_bytes += bytes;
    std::int64_t peak = parts_.counters.peak_in_flight_bytes.load();
    while (now > peak && !parts_.counters.peak_in_flight_bytes.compare_exchange_weak(peak, now)) {
    }
  }

  void give_back(int lane, const Credit& credit) {
    readers_[static_cast<std::size_t>(lane)].try_put(credit);
  }

  // ---- transforms

  ChainNode& add_parallel(StageChain& chain, bool first) {
    return chain_nodes_.emplace_back(
        graph_,
        flow::unlimited,
        [this, &chain, first](const ChunkMessage& message, ChainNode::output_ports_type& ports) {
          guard([&] {
            process(chain, *message, first, slot());
            std::get<0>(ports).try_put(message);
          });
        });
  }

  ChainNode& add_in_order(StageChain& chain, bool first) {
    ChunkOrder& order = chain_orders_.emplace_back(parts_.source.lanes(), first_turn(parts_));
    return chain_nodes_.emplace_back(
        graph_,
        flow::serial,
        [this, &chain, &order, first](const ChunkMessage& message,
                                      ChainNode::output_ports_type& ports) {
          guard([&] {
            order.add(message);
            while (const ChunkMessage next = next_in(order)) {
              process(chain, *next, first, 0);
              std::get<0>(ports).try_put(next);
            }
          });
        });
  }

  // The arena's slot of this thread, which is below the number of threads.
  static std::size_t slot() {
    return static_cast<std::size_t>(oneapi::tbb::this_task_arena::current_thread_index());
  }

  // `first`: of the chains, so the chunk comes straight from its reader, which may go on now. (Not
  // earlier: one thread would read its whole budget before it worked on any of it.)
  void process(StageChain& chain, LaneChunk& message, bool first, std::size_t slot) {
    if (first) {
      give_back(message.lane, Credit{.read_next = true});
    }
    if (message.last || message.failure) {
      return;
    }
    try {
      // A stage that waits for parallel work of its own must not be given another chunk meanwhile.
      oneapi::tbb::this_task_arena::isolate([&] { chain.process(message.chunk, slot); });
    } catch (...) {
      message.failure = std::current_exception();
    }
    // Behind the first chain there is none, unless a stage leaves some.
    if (SpareMemory spare = std::exchange(info(message.chunk).spare, {}); !spare.is_empty()) {
      text_memory_.keep(std::move(spare));
    }
    const std::int64_t charge = memory_bytes(message.chunk);
    if (charge != message.charge) {
      give_back(message.lane, Credit{.bytes = message.charge - charge});
      message.charge = charge;
    }
  }

  // The next chunk in order, if it has arrived and the run is not over.
  ChunkMessage next_in(ChunkOrder& order) const { return cancelled_ ? nullptr : order.next(); }

  // ---- order and assembly

  void assemble(const ChunkMessage& message, bool first, AssembleNode::output_ports_type& ports) {
    if (first) {
      give_back(message->lane, Credit{.read_next = true});
    }
    order_.add(message);
    while (const ChunkMessage next = next_in(order_)) {
      reuse_spent_batches();
      {
        const BusyTimer timer(parts_.assembler_metrics.busy);
        const RecordTotals before = totals_;
        pack(*next, full_batches_);
        begin_checkpoints(*next, before);
      }
      for (const BuiltBatchStage& stage : parts_.batch_stages) {
        change_batches(stage, full_batches_);
      }
      const ShipmentMessage shipment = make_shipment(next->lane);
      const std::int64_t charge = fill(*shipment);
      // The chunk's tokens now live in batches. Those that are shipped hold their own bytes until
      // every sink is finished with them; the one that is being filled holds none, else a budget
      // smaller than a batch would never fill it.
      const Credit credit{.bytes = next->charge - charge, .dealt = 1};
      const int lane = next->lane;
      *next = LaneChunk();
      messages_.keep(next);
      give_back(lane, credit);
      if (shipment->num_parcels > 0) {
        std::get<0>(ports).try_put(shipment);
      } else {
        shipments_.keep(shipment);
      }
    }
  }

  // Behind those of the full batches where one is due. The chunk that completed them is not counted
  // as dealt yet: a run that goes on from there reads it again.
  void begin_checkpoints(LaneChunk& dealt, const RecordTotals& before) {
    if (parts_.checkpoints == nullptr) {
      return;
    }
    for (Batch& batch : full_batches_) {
      if (parts_.checkpoints->is_due(batch.index)) {
        batch.checkpoint = parts_.checkpoints->begin(
            {batch.index + 1, undealt_, dealt.lane, batch.account, before, parts_.fingerprint},
            num_saving_sinks());
      }
    }
    if (!dealt.last) {
      undealt_[static_cast<std::size_t>(dealt.lane)] = std::move(dealt.behind);
    }
  }

  std::size_t num_saving_sinks() const {
    return static_cast<std::size_t>(
        std::count_if(parts_.sinks.begin(), parts_.sinks.end(), [](const BuiltSink& sink) {
          return sink.sink->saves();
        }));
  }

  // The memory of the batches that nobody has any more. Some sink may look at one even when it is
  // finished with it.
  void reuse_spent_batches() {
    while (std::shared_ptr<Batch> spent = newly_spent_.take()) {
      spent_batches_.push_back(std::move(spent));
    }
    std::erase_if(spent_batches_, [this](std::shared_ptr<Batch>& spent) {
      if (spent.use_count() > 1) {
        return false;
      }
      std::atomic_thread_fence(std::memory_order_acquire);  // what its last user did is over
      spent->checkpoint = nullptr;
      parts_.assembler.reuse(std::move(*spent));
      batch_holders_.push_back(std::move(spent));
      return true;
    });
    spent_batches_.resize(std::min(spent_batches_.size(), kMostSpentBatches));
    batch_holders_.resize(std::min(batch_holders_.size(), kMostSpentBatches));
  }

  ShipmentMessage make_shipment(int lane) {
    ShipmentMessage shipment = shipments_.take();
    if (!shipment) {
      shipment = std::make_shared<Shipment>();
    }
    shipment->lane = lane;
    return shipment;
  }

  // With the full batches. Returns the bytes of all of them.
  std::int64_t fill(Shipment& shipment) {
    std::int64_t charge = 0;
    std::int64_t tokens = take_unshipped_tokens();
    shipment.num_parcels = full_batches_.size();
    shipment.undelivered = full_batches_.size();
    while (shipment.parcels.size() < shipment.num_parcels) {
      shipment.parcels.emplace_back().deliveries.resize(parts_.sinks.size());
    }
    for (std::size_t i = 0; i < full_batches_.size(); ++i) {
      Parcel& parcel = shipment.parcels[i];
      parcel.charge = memory_bytes(full_batches_[i]);
      parcel.tokens = tokens / static_cast<std::int64_t>(full_batches_.size() - i);
      tokens -= parcel.tokens;
      parcel.outstanding = std::ssize(parts_.sinks);
      parcel.batch = hold(std::move(full_batches_[i]));
      charge += parcel.charge;
    }
    full_batches_.clear();
    return charge;
  }

  // Of TokenAccount::out, those that the full batches hold: each as many, for the shape is the
  // same. (Batch::num_tokens counts repeated tokens too, and is the batch stages' to change.)
  std::int64_t take_unshipped_tokens() {
    if (full_batches_.empty()) {
      return 0;
    }
    const std::int64_t packed = parts_.assembler.account().out;
    return packed - std::exchange(shipped_tokens_, packed);
  }

  std::shared_ptr<Batch> hold(Batch batch) {
    if (batch_holders_.empty()) {
      return std::make_shared<Batch>(std::move(batch));
    }
    std::shared_ptr<Batch> holder = std::move(batch_holders_.back());
    batch_holders_.pop_back();
    *holder = std::move(batch);
    return holder;
  }

  void pack(LaneChunk& message, std::vector<Batch>& full) {
    if (!message.last) {
      judge(info(message.chunk));
    }
    num_chunks_ += message.last ? 0 : 1;
    if (message.failure) {
      rethrow_numbered(message.failure);
    }
    try {
      if (!message.last) {
        add(std::get<TokenChunk>(message.chunk), full);
      }
      if (order_.finished()) {
        parts_.assembler.finish(full);
      }
    } catch (...) {
      std::throw_with_nested(
          StageError("stage " + quoted_name(parts_.assembler_metrics) + " failed"));
    }
    if (order_.finished()) {
      parts_.policy.finish();
      ended_ = true;
    }
    parts_.counters.set_packed({parts_.assembler.account(), totals_.records, ended_});
  }

  void add(TokenChunk& tokens, std::vector<Batch>& full) {
    StageMetrics& metrics = parts_.assembler_metrics;
    ++metrics.chunks;
    metrics.records += tokens.num_records;
    metrics.documents += std::ssize(tokens.documents);
    totals_.documents += std::ssize(tokens.documents);
    metrics.tokens += std::ssize(tokens.ids);
    parts_.assembler.add(tokens, full);
    SpareMemory spare;
    release(tokens, spare);
    token_memory_.keep(std::move(spare));
  }

  // Of the chunk that has just been counted.
  [[noreturn]] void rethrow_numbered(const std::exception_ptr& failure) const {
    try {
      std::rethrow_exception(failure);
    } catch (const ChunkFailure& chunk) {
      const StageError error(chunk.stage() + " failed on chunk " + std::to_string(num_chunks_) +
                             " (" + to_string(chunk.position()) + ")");
      std::rethrow_exception(with_cause(error, chunk.cause()));
    }
  }

  static void change_batches(const BuiltBatchStage& built, std::vector<Batch>& batches) {
    for (Batch& batch : batches) {
      // What is no business of the stage's, which may return another object.
      const std::int64_t index = batch.index;
      const TokenAccount account = batch.account;
      std::shared_ptr<PendingCheckpoint> checkpoint = std::move(batch.checkpoint);
      try {
        const BusyTimer timer(built.metrics->busy);
        batch = built.stage->process(std::move(batch));
        check_promises(batch, index, built.shape);
        batch.account = account;
        batch.checkpoint = std::move(checkpoint);
      } catch (...) {
        std::throw_with_nested(StageError("stage " + quoted_name(*built.metrics) +
                                          " failed on batch " + std::to_string(index)));
      }
      ++built.metrics->chunks;
      built.metrics->tokens += batch.num_tokens;
    }
  }

  // What sinks rely on.
  static void check_promises(const Batch& batch,
                             std::int64_t index,
                             const std::optional<BatchShape>& shape) {
    if (batch.index != index) {
      throw std::logic_error("it returned batch " + std::to_string(batch.index));
    }
    const bool is_whole = std::ssize(batch.tokens) == batch.batch_size * batch.row_length &&
                          !batch.cu_seqlens.empty() &&
                          batch.cu_seqlens.back() == batch.batch_size * batch.sequence_length;
    const bool is_declared =
        !shape || (batch.batch_size == shape->batch_size && batch.row_length == shape->row_length &&
                   batch.sequence_length == shape->sequence_length);
    if (!is_whole || !is_declared) {
      throw std::logic_error("it returned a batch of another shape than declared");
    }
  }

  void judge(ChunkInfo& chunk) {
    parts_.policy.count_records(chunk.num_records);
    totals_.records += chunk.num_records;
    totals_.rejects += std::ssize(chunk.rejects);
    std::stable_sort(
        chunk.rejects.begin(), chunk.rejects.end(), [](const Reject& a, const Reject& b) {
          return a.position.record < b.position.record;
        });
    for (const Reject& reject : chunk.rejects) {
      ++parts_.counters.rejects;
      parts_.policy.judge(reject, parts_.on_error.at(reject.stage));
    }
  }

  // ---- sinks

  void ship(std::size_t sink, const ShipmentMessage& shipment, SinkNode::gateway_type& gateway) {
    // With its last parcel the shipment may be used again at once.
    const std::size_t num_parcels = shipment->num_parcels;
    for (std::size_t i = 0; i < num_parcels; ++i) {
      guard([&] { consume(sink, shipment, shipment->parcels[i], gateway); });
    }
  }

  void consume(std::size_t sink_number,
               const ShipmentMessage& shipment,
               Parcel& parcel,
               SinkNode::gateway_type& gateway) {
    BuiltSink& sink = parts_.sinks[sink_number];
    // Valid until this sink is finished with it, whatever the others do.
    const Batch& batch = *parcel.batch;
    const std::int64_t index = batch.index;
    Delivery& delivery = parcel.deliveries[sink_number];
    delivery = {&sink, index, &parcel, shipment, &gateway};
    begin_wait(gateway);
    ++sink.metrics->outstanding;
    // Small enough for std::function to hold without an allocation.
    Completion completion(
        [this, &delivery](const std::exception_ptr& error) { end_delivery(delivery, error); });
    const BusyTimer timer(sink.metrics->busy);
    ++sink.metrics->chunks;
    try {
      sink.sink->consume(parcel.batch, std::move(completion));
    } catch (...) {
      fail_sink(sink, index, std::current_exception());
    }
  }

  static std::size_t most_spare(const GraphParts& parts) {
    return static_cast<std::size_t>(parts.threads + parts.source.lanes());
  }

  // A sink is finished with a batch, or has failed; any thread.
  void end_delivery(Delivery& delivery, const std::exception_ptr& error) {
    const bool is_waited_for = end_wait();
    SinkNode::gateway_type& gateway = *delivery.gateway;
    std::atomic<std::int64_t>& outstanding = delivery.sink->metrics->outstanding;
    {
      const ShipmentMessage shipment = std::exchange(delivery.shipment, nullptr);
      if (error) {
        fail_sink(*delivery.sink, delivery.batch_index, error);
      } else {
        delivery.sink->metrics->tokens += delivery.parcel->batch->num_tokens;
        complete(shipment, *delivery.parcel);
      }
    }
    // With the last of what follows this object may be gone.
    --outstanding;
    if (is_waited_for) {
      gateway.release_wait();
    }
  }

  // ---- waiting for sinks

  // The graph does not end before the delivery does.
  void begin_wait(SinkNode::gateway_type& gateway) {
    const std::lock_guard lock(waits_mutex_);
    if (!waits_abandoned_) {
      ++num_waits_;
      gateway.reserve_wait();
    }
  }

  // Returns whether the graph waits until the delivery's wait is released.
  bool end_wait() {
    const std::lock_guard lock(waits_mutex_);
    num_waits_ -= waits_abandoned_ ? 0 : 1;
    return !waits_abandoned_;
  }

  // A sink that keeps completions would hide the failure for ever.
  void abandon_waits() {
    const std::lock_guard lock(waits_mutex_);
    waits_abandoned_ = true;
    for (; num_waits_ > 0; --num_waits_) {
      sinks_.front().gateway().release_wait();
    }
  }

  // When nothing else goes on: a sink's destructor ends its threads and drops what it has kept.
  void end_abandoned_sinks() {
    {
      const std::lock_guard lock(waits_mutex_);
      if (!waits_abandoned_) {
        return;
      }
    }
    for (BuiltSink& sink : parts_.sinks) {
      if (sink.metrics->outstanding > 0) {
        const BusyTimer timer(sink.metrics->busy);
        sink.sink = nullptr;
      }
    }
  }

  void complete(const ShipmentMessage& shipment, Parcel& parcel) {
    if (parcel.outstanding.fetch_sub(1) > 1) {
      return;
    }
    const int lane = shipment->lane;
    const std::int64_t charge = parcel.charge;
    const std::int64_t tokens = parcel.tokens;
    if (parcel.batch->checkpoint) {
      parcel.batch->checkpoint->complete_batch();
    }
    newly_spent_.keep(std::move(parcel.batch));
    if (shipment->undelivered.fetch_sub(1) == 1) {
      shipments_.keep(shipment);
    }
    ++parts_.counters.batches;
    parts_.counters.delivered_tokens += tokens;
    // Whoever adds to nothing tells the reader, so that many batches cost one message.
    if (returned_bytes_[static_cast<std::size_t>(lane)].fetch_add(charge) == 0) {
      give_back(lane, Credit{});
    }
  }

  void fail_sink(const BuiltSink& sink, std::int64_t batch_index, const std::exception_ptr& error) {
    fail(with_cause(StageError("sink " + quoted_name(*sink.metrics) + " failed on batch " +
                               std::to_string(batch_index)),
                    error),
         is_dropped_batch(error));
  }

  // ---- the end

  // Runs a node's body, unless the run is over; what it throws ends the run.
  template <typename Body>
  void guard(const Body& body) {
    if (cancelled_) {
      return;
    }
    try {
      body();
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error, bool dropped_batch = false) {
    // A batch that is dropped because the run was stopped is no failure.
    if (stop_.stop_requested()) {
      cancel();
      return;
    }
    failure_.set(std::move(error), dropped_batch);
    cancel();
    abandon_waits();
  }

  void cancel() {
    if (cancelled_.exchange(true)) {
      return;
    }
    stop_reading_.request_stop();
    graph_.cancel();
    for (BuiltSink& sink : parts_.sinks) {
      sink.sink->cancel();
    }
  }

  // Constant after construction.
  const GraphParts& parts_;
  const std::stop_token stop_;
  const std::int64_t lane_budget_;
  const int window_;

  // Own synchronisation.
  Failure failure_;
  std::atomic<bool> cancelled_{false};
  std::mutex waits_mutex_;
  std::int64_t num_waits_ = 0;                             // deliveries; protected by waits_mutex_
  bool waits_abandoned_ = false;                           // protected by waits_mutex_
  std::stop_source stop_reading_;                          // a failure ends reading like a stop
  std::vector<std::atomic<std::int64_t>> returned_bytes_;  // by lane; of batches

  // Own synchronisation. Memory that is over, for what is to come.
  SparePool<SpareMemory> text_memory_;   // of chunks that have become tokens
  SparePool<SpareMemory> token_memory_;  // of chunks that have been packed
  SparePool<ChunkMessage> messages_;
  SparePool<ShipmentMessage> shipments_;
  SparePool<std::shared_ptr<Batch>> newly_spent_;  // batches that every sink is finished with

  // Each element is touched by one serial node alone.
  std::vector<Lane> lanes_;
  std::deque<ChunkOrder> chain_orders_;
  ChunkOrder order_;
  std::vector<LanePosition> undealt_;  // where each lane's next chunk to deal begins
  RecordTotals totals_;                // of the chunks that have been packed
  std::int64_t shipped_tokens_ = 0;    // of TokenAccount::out
  std::vector<Batch> full_batches_;    // of the chunk that is being packed
  std::vector<std::shared_ptr<Batch>> spent_batches_;  // see reuse_spent_batches()
  std::vector<std::shared_ptr<Batch>> batch_holders_;  // without a batch
  std::int64_t num_chunks_ = 0;                        // that have been packed
  bool ended_ = false;

  // Destroyed before what their bodies use.
  flow::graph graph_;
  std::deque<ReaderNode> readers_;
  std::deque<ChainNode> chain_nodes_;
  std::optional<AssembleNode> assemble_;
  std::deque<SinkNode> sinks_;
};

}  // namespace

void RunCounters::set_packed(const Packed& packed) {
  const std::lock_guard lock(mutex_);
  packed_ = packed;
}

RunCounters::Packed RunCounters::packed() const {
  const std::lock_guard lock(mutex_);
  return packed_;
}

bool run_graph(const GraphParts& parts, const std::stop_token& stop) {
  // As much as the main thread commonly has: a deeply nested record needs more than oneTBB's 4 MiB
  // in a build with sanitizers.
  const oneapi::tbb::global_control allow_stack(oneapi::tbb::global_control::thread_stack_size,
                                                kThreadStackBytes);
  // More threads than processors are allowed when they are asked for.
  const oneapi::tbb::global_control allow_threads(
      oneapi::tbb::global_control::max_allowed_parallelism,
      static_cast<std::size_t>(std::max(parts.threads, available_threads())));
  oneapi::tbb::task_arena arena(parts.threads);
  // A graph runs in the arena that it is constructed in.
  return arena.execute([&] { return GraphRun(parts, stop).run(); });
}

int available_threads() {
  return oneapi::tbb::info::default_concurrency();
}

}  // namespace penstock
