#pragma once

#include "apps/option_change.h"
#include "apps/run_evidence.h"

namespace penstock {

// A pipeline that is worked through event by event instead of run: lanes that read into a bounded
// budget, threads that take the furthest work there is, one packer, and a sink with a thread of its
// own. It knows nothing of the formulas of diagnose(), and always gives the same. Times are seconds
// a chunk; a chunk is a byte of text and a token, and a batch.
struct SimulatedPipeline {
  int processors = 8;
  int threads = 8;
  int lanes = 8;
  int memory_chunks = 64;      // of all lanes together
  double processor_share = 1;  // what other programs leave
  double disk = 0;             // waiting, on a thread
  double decompress = 0.1;
  double parse = 0.05;
  double tokenize = 0.3;
  double pack = 0.01;
  double copy = 0.001;  // to the device, into one of the slots; the copy before has to be over
  int slots = 2;
  double host = 0.001;  // of the sink's thread, for each batch of a chunk
  double gpu = 0.001;   // that the sink's thread waits for
  int batch_size = 8;   // the host's part of a chunk shrinks as this grows
  bool is_observed = true;

  RunEvidence measure() const;
  double bytes_per_second() const;

  void apply(const OptionChange& change);
};

}  // namespace penstock
