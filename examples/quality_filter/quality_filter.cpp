#include <array>
#include <cstddef>
#include <iterator>

#include "pipeline/plugin.h"
#include "text_figures.h"

namespace {

using penstock::Document;
using penstock::DocumentChunk;
using penstock::Option;
using penstock::StageMetrics;

enum class Bound { kAtLeast, kAtMost };
using enum Bound;
using Figures = TextFigures;

// One option, one figure, one row of the summary.
struct Rule {
  const char* option;
  Bound bound;
  double limit;  // unless the configuration says otherwise
  double Figures::*figure;
  const char* summary;
};

// In the order in which they are looked at: a text counts for the first rule that it breaks.
// Gopher: Rae et al. 2021, "Scaling Language Models", appendix A.1.1 and table A1; the shares by
// bytes are by characters there. C4: Raffel et al. 2020, "Exploring the Limits of Transfer
// Learning", section 2.2.
constexpr Rule kRules[] = {
    {"min_words", kAtLeast, 50, &Figures::words, "Words (Gopher)."},
    {"max_words", kAtMost, 100000, &Figures::words, "Words (Gopher)."},
    {"min_word_length", kAtLeast, 3, &Figures::word_length, "Mean characters of a word (Gopher)."},
    {"max_word_length", kAtMost, 10, &Figures::word_length, "Mean characters of a word (Gopher)."},
    {"max_symbols", kAtMost, 0.1, &Figures::symbols, "'#' or ellipses a word (Gopher)."},
    {"max_bullets",
     kAtMost,
     0.9,
     &Figures::bullets,
     "Share of lines that begin with one (Gopher)."},
    {"max_ellipses",
     kAtMost,
     0.3,
     &Figures::ellipses,
     "Share of lines that end with one (Gopher)."},
    {"min_alphabetic",
     kAtLeast,
     0.8,
     &Figures::alphabetic,
     "Share of words with a letter (Gopher)."},
    {"min_stop_words", kAtLeast, 2, &Figures::stop_words, "Different stop_words (Gopher)."},
    {"max_repeated_lines", kAtMost, 0.3, &Figures::repeated_lines, "Share of lines (Gopher)."},
    {"max_repeated_line_bytes",
     kAtMost,
     0.2,
     &Figures::repeated_line_bytes,
     "Share of the bytes of lines (Gopher)."},
    {"max_repeated_paragraphs",
     kAtMost,
     0.3,
     &Figures::repeated_paragraphs,
     "Share of paragraphs (Gopher)."},
    {"max_repeated_paragraph_bytes",
     kAtMost,
     0.2,
     &Figures::repeated_paragraph_bytes,
     "Share of their bytes (Gopher)."},
    {"min_sentences",
     kAtLeast,
     3,
     &Figures::sentences,
     "Words that end with '.', '!' or '?' (C4)."},
    {"max_forbidden", kAtMost, 0, &Figures::forbidden, "Different phrases of forbidden (C4)."},
};
constexpr std::size_t kNumRules = std::size(kRules);

// What all instances share.
struct Rules {
  explicit Rules(const penstock::StageConfig& config)
      : meter(config.text_list("stop_words"), config.text_list("forbidden")) {
    for (std::size_t i = 0; i < kNumRules; ++i) {
      limits[i] = config.number(kRules[i].option);
    }
  }

  const TextMeter meter;
  std::array<double, kNumRules> limits{};
};

// Drops the documents that break a rule.
class QualityFilter final : public penstock::Transform<DocumentChunk, DocumentChunk> {
 public:
  using Rows = std::array<StageMetrics*, kNumRules>;

  QualityFilter(std::shared_ptr<const Rules> rules, const Rows& rows, bool refuses)
      : rules_(std::move(rules)), rows_(rows), refuses_(refuses) {}

  DocumentChunk process(DocumentChunk chunk) override {
    std::erase_if(chunk.documents, [&](const Document& document) {
      const Figures figures = rules_->meter.measure(document.text);
      for (std::size_t i = 0; i < kNumRules; ++i) {
        if (breaks(i, figures)) {
          ++rows_[i]->rejects;
          if (refuses_) {
            refuse(document, i, figures, chunk);
          }
          return true;
        }
      }
      return false;
    });
    return chunk;
  }

 private:
  bool breaks(std::size_t rule, const Figures& figures) const {
    const double figure = figures.*kRules[rule].figure;
    return kRules[rule].bound == kAtLeast ? figure < rules_->limits[rule]
                                          : figure > rules_->limits[rule];
  }

  void refuse(const Document& document,
              std::size_t rule,
              const Figures& figures,
              DocumentChunk& chunk) const {
    const auto as_text = [](double value) {
      return penstock::format_value(value, penstock::OptionType::kNumber);
    };
    chunk.rejects.push_back({{chunk.position.shard, document.record, document.byte_offset},
                             std::string(kRules[rule].option) + ": got " +
                                 as_text(figures.*kRules[rule].figure) + ", the limit is " +
                                 as_text(rules_->limits[rule]),
                             std::string(document.text),
                             std::ssize(document.text),
                             {}});
  }

  const std::shared_ptr<const Rules> rules_;
  const Rows rows_;
  const bool refuses_;
};

std::vector<Option> options() {
  std::vector<Option> options;
  for (const Rule& rule : kRules) {
    options.push_back(Option::number(rule.option, rule.summary).at_least(0).or_else(rule.limit));
  }
  options.push_back(Option::text_list("stop_words", "For min_stop_words (Gopher).")
                        .or_else(std::vector<std::string>{
                            "the", "be", "to", "of", "and", "that", "have", "with"}));
  options.push_back(
      Option::text_list("forbidden", "For max_forbidden (C4); '{' is there to drop code.")
          .or_else(std::vector<std::string>{"lorem ipsum", "{"}));
  options.push_back(
      Option::choice("dropped",
                     "What becomes of documents that break a rule: 'count' counts them in the "
                     "summary, 'refuse' also gives them with the reason to on_error, whose "
                     "quarantine then holds them.",
                     {"count", "refuse"})
          .or_else(std::string("count")));
  return options;
}

penstock::InstanceFactory make_factory(const penstock::StageConfig& config,
                                       const penstock::BuildContext& context) {
  QualityFilter::Rows rows{};
  for (std::size_t i = 0; i < kNumRules; ++i) {
    rows[i] = &context.metrics.add(context.own_row.name + "." + kRules[i].option, context.threads);
  }
  return [rules = std::make_shared<const Rules>(config),
          rows,
          refuses = config.text("dropped") == "refuse"] {
    return std::make_unique<QualityFilter>(rules, rows, refuses);
  };
}

}  // namespace

extern "C" void penstock_register_stages(penstock::StageRegistry& registry) {
  registry.add({"quality_filter",
                "Drops texts that are hardly prose, by the rules of C4 and Gopher.",
                penstock::Payload::kDocuments,
                penstock::Payload::kDocuments,
                penstock::Ordering::kParallel,
                options(),
                penstock::StageFactory(make_factory)});
}
