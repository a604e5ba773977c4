#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/device_stage_type.h"
#include "gpu/lm_weights.h"

namespace penstock::gpu {

// How a token is sampled; the definition is that of lm_score.
struct TokenSampling {
  std::uint64_t seed = 1;  // in lm_score also of made-up weights
  double temperature = 0;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;
};

// The device stage `lm_score`: for every input position i of a batch, all at once,
//
//   context[i] = bf16(sum over k = 0 .. min(window - 1, i - begin[i]) of
//                     mix[k] * embedding[token[i - k]])              [width]
//   logits[i]  = projection * context[i]                             [vocabulary]
//   loss[i]    = logsumexp(logits[i]) - logits[i][token[i + 1]]
//
// where begin[i] is the first position of i's segment, so that nothing looks across documents or
// rows, and mix[k] is multiplied element by element. Weights are bf16: seeded (see LmWeights) or
// from a safetensors file. Sums are in fp32. Products of two bf16 are exact in it, and context is
// summed from k = 0 upwards, so it is the same to the bit on both backends; logits are the same but
// for the order of summation.
//
// A position is scored where the token after it is in the same row and the same segment and
// neither is padding; in a row with shifted targets the last position's target is the row's last
// token, whichever document that is of. A prediction is correct where the highest logit is the
// target's; of equal logits the one of the lowest id counts as the highest. Every position that is
// no padding, whether scored or not, also samples a token:
//
//   temperature 0: the id of the highest logit. Otherwise, with T = temperature:
//   mass[v]  = floor(2^32 * exp((logits[i][v] - max) / T)), where max is the highest logit
//   top_k    keeps the ids whose logit is at least the k-th highest: all of them where some are
//            equal to it; 0 and more than there are ids keep all
//   top_p    keeps, of these, as few of the highest logits as have at least
//            ceil(top_p * mass of all these) of mass, and all ids whose logit equals the lowest of
//            them; 1 keeps all
//   sample   the lowest id for which the sum of the masses of the kept ids up to and with it
//            exceeds uniform_below(random, mass of all kept ids), where random is
//            philox(seed, index of the position in the stream, kLmSampleStream)
//
// Masses are whole numbers, so the order of their summation does not matter. A position's index in
// the stream is DeviceBatch::first_position() plus its index in the batch. What padding cells hold
// is never looked at.
struct LmScoreOptions : TokenSampling {
  std::int64_t width = 1024;
  std::int64_t window = 8;   // tokens of context, at most kMaxWindow
  std::int64_t tile = 4096;  // positions whose logits exist at the same time
  std::string weights;       // path; empty: seeded
};
inline constexpr std::int64_t kMaxWindow = 32;
// Ids where neither the weights nor a tokenizer say how many.
inline constexpr std::int64_t kDefaultVocabulary = 32'000;
// See philox(); the streams of the weights are others.
inline constexpr std::uint32_t kLmSampleStream = 16;

std::vector<Option> lm_score_options();
// Throws ConfigError.
LmScoreOptions read_lm_score_options(const StageConfig& config);

// The weights that the options ask for; what both backends begin with. From a file, width and
// window are the file's, and so is the vocabulary, which must hold every id of the tokenizer.
// Seeded weights are for the tokenizer's ids, or kDefaultVocabulary. Throws ConfigError.
LmWeights load_lm_weights(const LmScoreOptions& options,
                          const StageConfig& config,
                          const DeviceStageContext& context);

// What became known of `count` tokens, padding apart, that are no ids of the vocabulary. Backends
// throw it, from enqueue() or from results(), and never read weights out of bounds.
std::runtime_error unknown_token_ids(std::int64_t count, std::int64_t vocabulary);

// What batches have given: all of a run so far, or the last one. The same on both backends but for
// rounding.
struct LmScoreTotals {
  double loss_sum = 0;  // nats
  std::int64_t num_scored = 0;
  std::int64_t num_correct = 0;          // the highest logit was the target's
  std::int64_t num_sampled = 0;          // every position that is no padding
  std::int64_t num_sampled_correct = 0;  // of scored positions: the sample was the target
  // stream_checksum() of the samples, the place of each being its position in the stream.
  std::uint64_t sample_checksum = 0;
  std::int64_t num_batches = 0;

  // Of host and device.
  constexpr void add(const LmScoreTotals& more) {
    loss_sum += more.loss_sum;
    num_scored += more.num_scored;
    num_correct += more.num_correct;
    num_sampled += more.num_sampled;
    num_sampled_correct += more.num_sampled_correct;
    sample_checksum += more.sample_checksum;
    num_batches += more.num_batches;
  }
};

// Of one segment of the batch that was scored last.
struct LmSegmentScore {
  float loss_sum = 0;
  std::int32_t num_scored = 0;
};

// The figures of a report. Since the first batch: batches, scored, sampled, loss, perplexity,
// accuracy, sampled_accuracy, sample_checksum. Of the last batch alone: batch_loss, batch_accuracy,
// and document_perplexity, of each of its segments that has a scored position. Means over nothing
// are NaN: where nothing is scored there is no loss.
std::vector<Result> lm_score_figures(const LmScoreTotals& totals,
                                     const LmScoreTotals& last_batch,
                                     const std::vector<LmSegmentScore>& last_segments);

std::unique_ptr<DeviceStage> make_host_lm_score(const StageConfig& config,
                                                const DeviceStageContext& context);

}  // namespace penstock::gpu
