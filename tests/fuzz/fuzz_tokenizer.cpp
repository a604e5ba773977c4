// Compares the ids of the fast engines with those of the SentencePiece library. The first byte of
// an input chooses the model, the second one the SIMD level and the size of the cache, and the rest
// is encoded, as it is and once more to find it in the cache. See CONTRIBUTING.md.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stages/tokenizer/fast_engine.h"
#include "stages/tokenizer/model_file.h"
#include "stages/tokenizer/sentencepiece_tokenizer.h"
#include "stages/tokenizer/text_kernels.h"
#include "tests/fuzz/model_paths.h"

namespace penstock {
namespace {

// A model of the repository with its encoders: the library's, and one for each level and cache.
struct Subject {
  std::string path;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<Encoder> library;
  std::vector<std::unique_ptr<const FastEngine>> engines;
  std::vector<std::unique_ptr<Encoder>> encoders;
};

Subject make_subject(const std::string& path) {
  Subject subject;
  subject.path = path;
  subject.tokenizer = load_sentencepiece(path, {.engine = EngineChoice::kLibrary});
  subject.library = subject.tokenizer->make_encoder();
  const SentencePieceModel model = parse_sentencepiece_model(read_model_file(path));
  for (const std::string& level : simd_levels()) {
    FastEngineResult fast = make_fast_engine(model, level);
    if (!fast.engine) {
      continue;
    }
    for (const std::size_t cache_bytes :
         {std::size_t{0}, std::size_t{2000}, std::size_t{1} << 20}) {
      subject.encoders.push_back(
          fast.engine->make_encoder(subject.tokenizer->make_encoder(), cache_bytes));
    }
    subject.engines.push_back(std::move(fast.engine));
  }
  return subject;
}

std::vector<Subject> make_subjects() {
  std::vector<Subject> subjects;
  for (const std::string& path : model_paths()) {
    Subject subject = make_subject(path);
    if (!subject.encoders.empty()) {
      subjects.push_back(std::move(subject));
    }
  }
  return subjects;
}

void compare(Subject& subject, Encoder& encoder, std::string_view text) {
  std::vector<TokenId> expected;
  subject.library->encode(text, expected);
  for (int i = 0; i < 2; ++i) {
    std::vector<TokenId> ids;
    encoder.encode(text, ids);
    if (ids != expected) {
      std::fprintf(stderr, "%s: other ids than the library's\n", subject.path.c_str());
      std::abort();
    }
  }
}

}  // namespace
}  // namespace penstock

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::vector<penstock::Subject> subjects = penstock::make_subjects();
  if (size >= 2 && !subjects.empty()) {
    penstock::Subject& subject = subjects[data[0] % subjects.size()];
    const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
    penstock::compare(subject, *subject.encoders[data[1] % subject.encoders.size()], text);
  }
  return 0;
}
