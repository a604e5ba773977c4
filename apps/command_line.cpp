#include "apps/command_line.h"

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "apps/bench_command.h"
#include "apps/command_description.h"
#include "apps/completion_text.h"
#include "apps/doctor_command.h"
#include "apps/exit_status.h"
#include "apps/generate_command.h"
#include "apps/graph_command.h"
#include "apps/inspect_command.h"
#include "apps/inspect_model_command.h"
#include "apps/man_page.h"
#include "apps/new_stage_command.h"
#include "apps/new_stage_files.h"
#include "apps/plot_command.h"
#include "apps/report_command.h"
#include "apps/run_command.h"
#include "apps/stages_command.h"
#include "apps/standard_streams.h"
#include "apps/validate_command.h"
#include "apps/version.h"
#include "pipeline/config.h"
#include "pipeline/errors.h"
#include "pipeline/option.h"
#include "pipeline/plugin_loader.h"
#include "report/listen_address.h"

namespace penstock {
namespace {

// What the command line asks for: options of the chosen command, and the command itself.
struct Request {
  StageRegistry registry;            // built-in stages; when a command runs, those of plug-ins too
  std::vector<std::string> plugins;  // beside those of the configuration
  RunOptions run;                    // config path and overrides are those of every command
  std::string stage;
  bool markdown = false;
  std::string graph_format = "mermaid";
  std::int64_t inspect_rows = 3;
  std::string model_path;
  std::string new_stage;
  std::string new_stage_kind = "document";
  std::string shell;
  std::string folder;  // of a run
  std::string plot_folder;
  std::string config_path;  // empty for commands without
  BenchOptions bench;       // config and overrides are in `run`
  std::string bench_capture;
  double doctor_seconds = DoctorOptions().seconds;
  GenerateOptions generate;
  std::function<int()> command;
};

void add_plugins(CLI::App& command, Request& request) {
  command
      .add_option("--plugin",
                  request.plugins,
                  "Take stages from a shared library too, beside those that the configuration "
                  "names; can be given many times")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

// What the command is to do, with the stages of all plug-ins.
void set_command(CLI::App& command, Request& request, std::function<int()> execute) {
  command.callback([&request, execute = std::move(execute)] {
    request.command = [&request, execute] {
      for (const std::string& plugin : request.plugins) {
        load_plugin(plugin, "", request.registry);
      }
      if (!request.config_path.empty()) {
        request.run.config = read_config(request.config_path);
        load_plugins(request.run.config, request.registry, request.run.overrides);
      }
      return execute();
    };
  });
}

void add_config(CLI::App& command, Request& request) {
  command.add_option("CONFIG", request.config_path, "Configuration file (YAML)")
      ->type_name("")
      ->required();
  command
      .add_option("--set",
                  request.run.overrides,
                  "Replace an option of the configuration: threads=4, read.paths='x/*.zst', or "
                  "sink[1].path=y where a stage stands more than once; can be given many times")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  add_plugins(command, request);
}

// Why a summary cannot be written to the path; nothing where it can.
std::string summary_path_error(const std::string& path) {
  return path.empty() ? "got '', expected the path of a file, or - for standard output" : "";
}

std::string folder_error(const std::string& path) {
  return path.empty() ? "got '', expected the path of a folder" : "";
}

std::string listen_address_error(const std::string& text) {
  try {
    parse_listen_address(text);
    return "";
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

std::string trace_path_error(const std::string& path) {
  if (path == "-") {
    return "got '-', but a trace cannot go to standard output; expected the path of a file";
  }
  return path.empty() ? "got '', expected the path of a file" : "";
}

std::string resume_error(const std::string& text) {
  return text.empty() ? "got '', expected the folder of a checkpoint, or latest" : "";
}

void add_run(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand("run", "Run a pipeline to the end of its input");
  add_config(*command, request);
  command
      ->add_option("--summary",
                   request.run.summary_path,
                   "Also write the summary, as JSON; - prints it instead of the text")
      ->type_name("FILE")
      ->check(summary_path_error);
  command
      ->add_option("--trace",
                   request.run.trace_path,
                   "Also write what each thread and each GPU stream did when, as a time line for "
                   "ui.perfetto.dev")
      ->type_name("FILE")
      ->check(trace_path_error);
  command
      ->add_option("--run-folder",
                   request.run.run_folder,
                   "Folder that gets the history of the run as it goes on, its summary and "
                   "report.html; takes the place of the option run_folder")
      ->type_name("DIR")
      ->check(folder_error);
  command
      ->add_option("--serve",
                   request.run.serve,
                   "Show the run as it goes on to browsers, at http://ADDRESS:PORT/; ADDRESS is "
                   "127.0.0.1, this machine alone, unless given; PORT 0 is any that is free")
      ->type_name("[ADDRESS:]PORT")
      ->check(listen_address_error);
  command
      ->add_option("--resume",
                   request.run.resume,
                   "Go on behind a checkpoint of an earlier run, with exactly the batch that came "
                   "next: its folder, or 'latest' for the last one in checkpoint_folder")
      ->type_name("CHECKPOINT")
      ->check(resume_error);
  command->add_flag("--quiet", request.run.quiet, "Print neither progress nor summary");
  command->footer(
      "Exit status: 0 finished, 1 failed, 2 wrong configuration, 130 stopped with Ctrl-C, "
      "143 stopped with SIGTERM.\n\n"
      "Examples:\n"
      "  penstock run configs/quickstart.yaml\n"
      "  penstock run my.yaml --set read.paths='data/*.jsonl.zst' --set threads=8\n"
      "  penstock run my.yaml --run-folder runs/first --serve 8080\n"
      "  penstock run my.yaml --set checkpoint_folder=checkpoints\n"
      "  penstock run my.yaml --set checkpoint_folder=checkpoints --resume latest\n"
      "  zstd -dc shard.jsonl.zst | penstock run my.yaml --set read.paths=- --summary run.json");
  set_command(*command, request, [&] { return run_command(request.run, request.registry); });
}

void add_doctor(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "doctor",
      "Run a pipeline for a while, sinks included, and say what limits it, how fast it would be "
      "after each possible change, and which lines of the configuration to change; sinks publish "
      "nothing");
  add_config(*command, request);
  command->add_option("--seconds", request.doctor_seconds, "About how long everything may take")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command->footer(
      "docs/doctor.md says how it comes to its predictions.\n\n"
      "Exit status: as of 'penstock run'.\n\n"
      "Examples:\n"
      "  penstock doctor my.yaml\n"
      "  penstock doctor my.yaml --seconds 20 --set threads=4");
  set_command(*command, request, [&] {
    return doctor_command({request.run.config, request.run.overrides, request.doctor_seconds},
                          request.registry);
  });
}

void add_report(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "report",
      "Write report.html into the folder of a run: its charts, its text samples and what limited "
      "it, for any browser, without a network; 'penstock run' does so itself at its end");
  command->add_option("DIR", request.folder, "Folder that 'penstock run --run-folder DIR' made")
      ->type_name("")
      ->required()
      ->check(folder_error);
  command->footer(
      "docs/run-folder.md says what is in the folder.\n\n"
      "Examples:\n"
      "  penstock report runs/first");
  command->callback([&] { request.command = [&] { return report_command(request.folder); }; });
}

void add_plot(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "plot",
      "Draw the charts of a run as PNG files, for papers and for where there is no browser");
  command->add_option("DIR", request.folder, "Folder that 'penstock run --run-folder DIR' made")
      ->type_name("")
      ->required()
      ->check(folder_error);
  command
      ->add_option("--output",
                   request.plot_folder,
                   "Folder for the files, made where there is none; DIR/plots unless given")
      ->type_name("FOLDER")
      ->check(folder_error);
  command->footer(
      "Examples:\n"
      "  penstock plot runs/first");
  command->callback(
      [&] { request.command = [&] { return plot_command(request.folder, request.plot_folder); }; });
}

void add_validate(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "validate", "Check a configuration, and the files and models it names, without running it");
  add_config(*command, request);
  command->footer(
      "Examples:\n"
      "  penstock validate my.yaml\n"
      "  penstock validate my.yaml --set tokenize.model=other.model");
  set_command(*command, request, [&] {
    return validate_command(request.run.config, request.run.overrides, request.registry);
  });
}

void add_stages(CLI::App& app, Request& request) {
  CLI::App* command =
      app.add_subcommand("stages", "List the stages, or show the options of one of them");
  CLI::Option* name = command->add_option("NAME", request.stage, "Stage to show");
  command
      ->add_flag("--markdown", request.markdown, "Print the whole configuration reference instead")
      ->excludes(name);
  add_plugins(*command, request);
  command->footer(
      "Examples:\n"
      "  penstock stages\n"
      "  penstock stages tokenize\n"
      "  penstock stages --plugin ./libmystage.so mystage\n"
      "  penstock stages --markdown > docs/configuration.md");
  set_command(*command, request, [&] {
    if (request.markdown) {
      return configuration_reference_command(request.registry);
    }
    return request.stage.empty() ? list_stages_command(request.registry)
                                 : describe_stage_command(request.stage, request.registry);
  });
}

void add_graph(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand("graph", "Print the graph that a configuration builds");
  add_config(*command, request);
  command->add_option("--format", request.graph_format, "Language of the graph")
      ->check(CLI::IsMember({"mermaid", "dot"}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  penstock graph my.yaml\n"
      "  penstock graph my.yaml --format dot | dot -Tsvg > graph.svg");
  set_command(*command, request, [&] {
    return graph_command(
        request.run.config, request.run.overrides, request.graph_format, request.registry);
  });
}

void add_inspect(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "inspect",
      "Show the first rows of a pipeline's output: ids, text, and where each document came from; "
      "the configured outputs are not touched");
  add_config(*command, request);
  command->add_option("--rows", request.inspect_rows, "How many rows to show")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  penstock inspect my.yaml\n"
      "  penstock inspect my.yaml --rows 10 --set pack.sequence_length=64");
  set_command(*command, request, [&] {
    return inspect_command(
        request.run.config, request.run.overrides, request.inspect_rows, request.registry);
  });
}

void add_inspect_model(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "inspect-model",
      "Show what a tokenizer model is, which engine encodes with it, and the proof behind that");
  command->add_option("MODEL", request.model_path, "SentencePiece model")
      ->type_name("")
      ->required();
  command->footer(
      "Examples:\n"
      "  penstock inspect-model data/sample/demo_bpe_8k_bytefallback.model");
  command->callback(
      [&] { request.command = [&] { return inspect_model_command(request.model_path); }; });
}

// Why a size cannot be that of a sample; nothing where it can.
std::string capture_error(const std::string& text) {
  return parse_bytes(text).value_or(0) > 0 ? ""
                                           : "got '" + text + "', expected a size such as 64MiB";
}

void add_bench(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand(
      "bench",
      "Measure how fast a pipeline is, how fast it could be, and what limits it: each stage alone "
      "on one core, then the whole with more and more threads; the configured outputs are not "
      "touched");
  add_config(*command, request);
  command
      ->add_option(
          "--threads",
          request.bench.threads,
          "Numbers of threads to run with, such as 1,2,4, whatever the configuration says; by "
          "default 1, 2, 4, ... up to the processors there are")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--repetitions",
                   request.bench.repetitions,
                   "How often everything is measured; medians are told")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--seconds",
                   request.bench.seconds,
                   "About how long everything may take: a slow pipeline is measured on less text, "
                   "and less often")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  command
      ->add_option("--capture",
                   request.bench_capture,
                   "How much text is measured on, if there is time; kept in memory about four "
                   "times over; by default 16MiB for a thread and 64MiB at least")
      ->type_name("SIZE")
      ->check(capture_error);
  command
      ->add_option("--json",
                   request.bench.json_path,
                   "Also write the figures, as JSON; - prints them instead of the text")
      ->type_name("FILE")
      ->check(summary_path_error);
  command->footer(
      "docs/benchmarking.md says how to read what it prints.\n\n"
      "Exit status: as of 'penstock run'.\n\n"
      "Examples:\n"
      "  penstock bench my.yaml\n"
      "  penstock bench my.yaml --threads 1,8 --seconds 120 --json bench.json\n"
      "  penstock bench my.yaml --set read.lanes=8 --set tokenize.model=other.model");
  set_command(*command, request, [&] {
    request.bench.config = request.run.config;
    request.bench.overrides = request.run.overrides;
    request.bench.capture_bytes = parse_bytes(request.bench_capture).value_or(0);
    return bench_command(request.bench, request.registry);
  });
}

void add_new_stage(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand("new-stage",
                                         "Write a project for a stage of your own: how to build "
                                         "it, the stage, a test, a configuration");
  command->add_option("NAME", request.new_stage, "Name of the stage and of the new folder")
      ->type_name("")
      ->required();
  command->add_option("--kind", request.new_stage_kind, "What the stage takes and gives")
      ->check(CLI::IsMember(new_stage_kinds()))
      ->capture_default_str();
  add_plugins(*command, request);
  command->footer(
      "docs/writing-a-stage.md explains the kinds.\n\n"
      "Examples:\n"
      "  penstock new-stage word_count\n"
      "  penstock new-stage histogram --kind device");
  set_command(*command, request, [&] {
    return new_stage_command(request.new_stage, request.new_stage_kind, request.registry);
  });
}

// "TEXT:{mermaid,dot}" -> mermaid, dot: CLI11 tells of a set of values in no other way.
std::vector<std::string> choices_in(const std::string& type) {
  const std::size_t begin = type.find('{');
  const std::size_t end = type.find('}');
  std::vector<std::string> choices;
  if (begin != std::string::npos && end != std::string::npos) {
    choices = CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
  }
  return choices;
}

ArgumentDescription describe(const CLI::Option& option) {
  ArgumentDescription description;
  const std::string type = option.get_type_name();
  description.is_positional = option.nonpositional() ? false : option.get_positional();
  description.is_required = option.get_required();
  description.name =
      description.is_positional ? option.get_name(true) : "--" + option.get_lnames()[0];
  description.summary = option.get_description();
  description.choices = choices_in(type);
  if (option.get_items_expected_max() > 0 && !description.is_positional) {
    description.value = description.choices.empty() ? type : "VALUE";
  }
  description.takes_file =
      type == "FILE" || description.name == "CONFIG" || description.name == "MODEL";
  return description;
}

// Without what is hidden from help.
CommandDescription describe(const CLI::App& app) {
  CommandDescription description{app.get_name(), app.get_description(), app.get_footer(), {}, {}};
  for (const CLI::Option* option : app.get_options()) {
    description.arguments.push_back(describe(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) {
      description.commands.push_back(describe(*command));
    }
  }
  return description;
}

void add_completion(CLI::App& app, Request& request) {
  CLI::App* command =
      app.add_subcommand("completion", "Print what a shell completes 'penstock' with");
  command->add_option("SHELL", request.shell, "Which shell")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
  command->footer(
      "Where penstock is installed in /usr, it is there already.\n\n"
      "Examples:\n"
      "  source <(penstock completion bash)\n"
      "  penstock completion zsh > ~/.zfunc/_penstock\n"
      "  penstock completion fish > ~/.config/fish/completions/penstock.fish");
  set_command(*command, request, [&app, &request] {
    const CommandDescription program = describe(app);
    write_standard_output(request.shell == "bash"  ? bash_completion(program)
                          : request.shell == "zsh" ? zsh_completion(program)
                                                   : fish_completion(program));
    return kExitSuccess;
  });
}

// For the build.
void add_man_page(CLI::App& app, Request& request) {
  CLI::App* command = app.add_subcommand("man-page", "Print the page for man")->group("");
  set_command(*command, request, [&app] {
    write_standard_output(man_page(describe(app), version()));
    return kExitSuccess;
  });
}

void add_generate(CLI::App& app, Request& request) {
  CLI::App* command =
      app.add_subcommand("generate", "Continue texts with a model that lm_train has trained");
  GenerateOptions& options = request.generate;
  const CLI::Range count(std::int64_t{0}, std::int64_t{1'000'000'000});
  CLI::Option* tokenizer =
      command
          ->add_option("--tokenizer",
                       options.tokenizer_path,
                       "The SentencePiece model of its tokens, if not the checkpoint's")
          ->type_name("FILE");
  CLI::Option_group* model = command->add_option_group("model", "One of these");
  model
      ->add_option("--checkpoint",
                   options.checkpoint_path,
                   "The model and its tokenizer: a checkpoint of lm_train, or the last one of a "
                   "folder of them")
      ->type_name("DIR");
  model
      ->add_option("--weights",
                   options.weights_path,
                   "The model: a safetensors file of save_weights, or of Hugging Face's GPT-2")
      ->type_name("FILE")
      ->needs(tokenizer);
  model->require_option(1);
  command
      ->add_option("--prompt",
                   options.prompts,
                   "What the text begins with; can be given many times, for texts of their own")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->required();
  command->add_option("--tokens", options.num_tokens, "How many tokens are put behind a prompt")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}))
      ->capture_default_str();
  command
      ->add_option("--temperature",
                   options.temperature,
                   "Divides the logits before a token is sampled; 0 takes the most likely one")
      ->type_name("T")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_option("--top-k", options.top_k, "Sample from this many most likely ids; 0 is all")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  command
      ->add_option("--top-p",
                   options.top_p,
                   "Sample from the fewest most likely ids that have this probability together; 1 "
                   "is all")
      ->type_name("P")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options.seed, "The same one gives the same texts")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  command
      ->add_option("--heads",
                   options.heads,
                   "Attention heads of the model; 0 is what its file says, or one for every 64 "
                   "elements of its width")
      ->type_name("N")
      ->check(count)
      ->capture_default_str();
  command->add_option("--device", options.device, "auto, cpu, cuda or cuda:N")
      ->type_name("KIND")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  penstock generate --checkpoint checkpoints --prompt 'Once upon'\n"
      "  penstock generate --weights tiny.safetensors --tokenizer my.model --prompt 'Once upon'\n"
      "  penstock generate --weights tiny.safetensors --tokenizer my.model --prompt 'Once upon' "
      "--tokens 100 --temperature 0.8 --top-p 0.95");
  command->callback([&] { request.command = [&] { return generate_command(request.generate); }; });
}

// The word in the place of a command, where it is none.
std::optional<std::string> unknown_command(const CLI::App& app) {
  if (!app.get_subcommands().empty()) {
    return std::nullopt;
  }
  const std::vector<std::string> words = app.remaining();
  const bool is_word = !words.empty() && !words.front().starts_with('-');
  return is_word ? std::optional(words.front()) : std::nullopt;
}

std::string unknown_command_text(const CLI::App& app, const std::string& name) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(command->get_name());
  }
  const std::optional<std::string> likely = nearest(name, commands);
  return fmt::format("penstock: there is no command '{}'{}; 'penstock --help' lists them\n",
                     name,
                     likely ? " (did you mean '" + *likely + "'?)" : "");
}

// Prints help, version or what is wrong with the command line.
int report(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    if (const std::optional<std::string> name = unknown_command(app)) {
      write_standard_error(unknown_command_text(app, *name));
      return kExitUsage;
    }
  }
  std::ostringstream output;
  std::ostringstream errors;
  const int status = app.exit(error, output, errors);
  write_standard_error(errors.str());
  write_standard_output(output.str());
  return status == 0 ? kExitSuccess : kExitUsage;
}

// Log lines go to standard error, without colours.
void set_up_log() {
  auto logger = std::make_shared<spdlog::logger>("penstock",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

int parse_and_run(int argc, const char* const* argv, const StageRegistry& registry) {
  Request request;
  request.registry = registry;
  CLI::App app(
      "Feeds language-model training from raw text shards: reads, parses, tokenizes and "
      "packs them into token batches.",
      "penstock");
  app.set_version_flag("--version", version_text, "Print the versions of everything and exit");
  app.require_subcommand(0, 1);
  app.footer(
      "'penstock COMMAND --help' explains a command.\n\n"
      "Examples:\n"
      "  penstock run configs/quickstart.yaml\n"
      "  penstock inspect configs/quickstart.yaml --rows 2\n"
      "  penstock stages tokenize");
  add_run(app, request);
  add_validate(app, request);
  add_inspect(app, request);
  add_inspect_model(app, request);
  add_bench(app, request);
  add_doctor(app, request);
  add_report(app, request);
  add_plot(app, request);
  add_generate(app, request);
  add_graph(app, request);
  add_stages(app, request);
  add_new_stage(app, request);
  add_completion(app, request);
  add_man_page(app, request);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return report(app, error);
  }
  if (!request.command) {
    write_standard_error(app.help());
    return kExitUsage;
  }
  return request.command();
}

}  // namespace

int run_command_line(int argc, const char* const* argv, const StageRegistry& registry) {
  open_closed_streams();
  make_failed_writes_errors();
  try {
    set_up_log();
    return parse_and_run(argc, argv, registry);
  } catch (const ConfigError& error) {
    write_standard_error(std::string(error.what()) + '\n');
    return kExitUsage;
  } catch (const FileError& error) {
    write_standard_error("penstock: " + full_message(error) + '\n');
    return kExitUsage;
  } catch (const PluginError& error) {
    write_standard_error("penstock: " + full_message(error) + '\n');
    return kExitUsage;
  } catch (const std::exception& error) {
    write_standard_error("penstock: " + full_message(error) + '\n');
    return kExitRunFailed;
  }
}

}  // namespace penstock
