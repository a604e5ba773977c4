#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "pipeline/config.h"

namespace penstock {
namespace {

constexpr std::size_t kTextWidth = 96;  // columns of describe_stage()

constexpr std::string_view kIntroduction =
    R"(<!-- Made by `penstock stages --markdown > docs/configuration.md`. Do not edit. -->

# Configuration

A configuration is one YAML file: the options of the run, and the list `pipeline` of the stages
that the text goes through, in this order.

```yaml
threads: auto
memory_limit: 1GiB
on_error: quarantine
pipeline:
  - read: {paths: "data/*.jsonl.zst", lanes: 4}
  - parse: {format: jsonl, text: text}
  - tokenize: {model: tokenizer.model, add_eos: true}
  - pack: {batch_size: 32, sequence_length: 1024}
  - write_npy:
      path: tokens.npy
```

An element of the list is a stage's name, alone or with a mapping of its options. The first stage is
a source. Transforms follow, then one assembler, which makes batches, then any batch stages, then one
or more sinks, which all get every batch. What a stage takes must be what the stage before it gives.

Stages of your own come from shared libraries that `plugins` names
([writing-a-stage.md](writing-a-stage.md)).

Relative paths of inputs and outputs begin at the folder in which `penstock` is started, wherever the
configuration lies. Only those of `plugins` begin at the configuration's folder, so that a file goes
together with its stages; `--plugin FILE` on the command line begins at the current folder as well.

The whole file is checked before anything is read. Every problem is told at once, with its line and
column: names that are not known, wrong types, values out of range, missing options, stages that do
not fit. `penstock validate FILE` does only this.

Sizes are bytes, or a number with one of the units KiB, MiB, GiB, TiB (powers of 1024) and kB, MB,
GB, TB (powers of 1000), as in `1.5GiB`. Text that begins with `*`, `&`, `[`, `{` or another sign
that YAML knows stands in quotes. Where a list of texts is expected, a single text is a list of one.

## Setting options on the command line

`--set KEY=VALUE` takes the place of what the file says, and can be given more than once.

| KEY | Sets |
| --- | --- |
| `OPTION` | an option of the run: `--set threads=8` |
| `STAGE.OPTION` | an option of a stage: `--set tokenize.model=m.model` |
| `STAGE[N].OPTION` | the same where the stage stands more than once; N counts from 0 |

VALUE is taken as it is, so that `--set read.paths='data/*.jsonl.zst'` needs no quotes but the
shell's. A VALUE that begins with `[` is a YAML list, as in `--set read.paths='[a.txt, b.txt]'`, and
one that begins with a quotation mark is a quoted YAML text.
)";

std::string role_of(const StageType& type) {
  if (std::holds_alternative<SourceFactory>(type.factory)) {
    return "source";
  }
  if (std::holds_alternative<AssemblerFactory>(type.factory)) {
    return "assembler";
  }
  if (std::holds_alternative<BatchStageFactory>(type.factory)) {
    return "batch stage";
  }
  return std::holds_alternative<SinkFactory>(type.factory) ? "sink" : "transform";
}

std::string origin_of(const StageType& type) {
  return type.plugin.empty() ? "" : " of plug-in " + type.plugin;
}

std::string ordering_of(const StageType& type) {
  if (std::holds_alternative<SourceFactory>(type.factory)) {
    return "lanes in parallel";
  }
  const bool is_transform = std::holds_alternative<StageFactory>(type.factory);
  return is_transform && type.ordering == Ordering::kParallel ? "chunks in parallel"
                                                              : "in stream order";
}

// Sources, transforms by what they take, assemblers, batch stages, sinks; by name where these are
// the same.
std::vector<const StageType*> in_pipeline_order(const StageRegistry& registry) {
  std::vector<const StageType*> types;
  for (const auto& [name, type] : registry.types()) {
    types.push_back(&type);
  }
  const auto rank = [](const StageType* type) {
    return std::tuple(type->factory.index(), type->input, type->output);
  };
  std::stable_sort(types.begin(), types.end(), [&](const StageType* a, const StageType* b) {
    return rank(a) < rank(b);
  });
  return types;
}

std::string table_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    cell += c == '|' ? "\\|" : std::string{c};
  }
  return cell;
}

// What the option means, and where it is there at all.
std::string meaning(const Option& option, std::string_view quote) {
  if (!option.condition) {
    return option.summary;
  }
  std::string condition = "With ";
  condition.append(quote)
      .append(option.condition->option + ": " + option.condition->value)
      .append(quote);
  return condition + ": " + option.summary;
}

std::string options_table(const std::vector<Option>& options) {
  std::string table = "| Option | Value | Default | Meaning |\n| --- | --- | --- | --- |\n";
  for (const Option& option : options) {
    const std::string default_text =
        option.required()
            ? "required"
            : "`" + table_cell(format_value(*option.default_value, option.type)) + "`";
    table += "| `" + option.name + "` | " + table_cell(describe_type(option)) + " | " +
             default_text + " | " + table_cell(meaning(option, "`")) + " |\n";
  }
  return table;
}

std::string stage_section(const StageType& type) {
  std::string section = "\n### " + type.name + "\n\n" + type.summary + "\n\n" + "*" +
                        role_of(type) + origin_of(type) + ", " + ordering_of(type) + ": " +
                        to_string(type.input) + " → " + to_string(type.output) + "*\n\n";
  return section + (type.options.empty() ? "It has no options.\n" : options_table(type.options));
}

// Breaks the text between words into lines that begin with `indent` spaces.
std::string wrap(std::string_view text, std::size_t indent) {
  std::string wrapped;
  std::string line(indent, ' ');
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (line.size() > indent && line.size() + 1 + word.size() > kTextWidth) {
      wrapped += line + "\n";
      line.assign(indent, ' ');
    }
    line += (line.size() > indent ? " " : "");
    line += word;
  }
  return wrapped + line + "\n";
}

std::string option_text(const Option& option) {
  const std::string value =
      option.required() ? ", required"
                        : ", by default " + format_value(*option.default_value, option.type);
  return "\n" + wrap(option.name + ": " + describe_type(option) + value, 2) +
         wrap(meaning(option, ""), 6);
}

}  // namespace

std::string configuration_reference(const StageRegistry& registry) {
  std::string page(kIntroduction);
  page += "\n## Options of the run\n\n" + options_table(run_options()) + "\n## Stages\n";
  for (const StageType* type : in_pipeline_order(registry)) {
    page += stage_section(*type);
  }
  return page;
}

std::string describe_stage(const StageType& type) {
  std::string text = wrap(type.name + ": " + type.summary, 0) + "\n" +
                     wrap(role_of(type) + origin_of(type) + ", " + ordering_of(type) + ": " +
                              to_string(type.input) + " -> " + to_string(type.output),
                          0);
  for (const Option& option : type.options) {
    text += option_text(option);
  }
  return text;
}

}  // namespace penstock
