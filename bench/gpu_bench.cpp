// What a GPU does when it is fed from raw shards, against what it can do: see bench/README.md.
#include <cmath>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "bench/bench_machine.h"
#include "bench/load_bench.h"
#include "bench/score_bench.h"
#include "bench/train_bench.h"
#include "gpu/device.h"
#include "gpu/register_device.h"
#include "pipeline/errors.h"
#include "stages/register_stages.h"

namespace penstock::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  std::string config_path;
  std::vector<std::string> overrides;
  std::string json_path;
  std::vector<std::string> modes = {"staged", "pipeline", "per_token"};
  ScoreBench::Options score;
  std::vector<std::string> train_modes = {"resident", "whole_rows", "pipeline"};
  TrainBench::Options train;
  LoadBench::Options load;
  std::vector<int> threads;  // empty: powers of two, up to the cores
};

Json to_json(const std::vector<Result>& results) {
  Json json = Json::object();
  for (const Result& result : results) {
    std::visit([&](const auto& value) { json[result.name] = value; }, result.value);
  }
  return json;
}

PipelineConfig load(const Arguments& arguments, const std::vector<std::string>& more = {}) {
  StageRegistry registry;
  register_stages(registry);
  register_device(registry);
  std::vector<std::string> overrides = arguments.overrides;
  overrides.insert(overrides.end(), more.begin(), more.end());
  return load_config(arguments.config_path, registry, overrides);
}

// The configuration ends with `device` and this stage.
void require_stage(const PipelineConfig& config, const std::string& stage) {
  const StageConfig& last = config.stages.back();
  if (last.stage() != "device" || last.text("stage") != stage) {
    throw std::runtime_error(config.path + " does not end with `device: {stage: " + stage + "}`");
  }
}

Measurement measure(ScoreBench& bench, const std::string& mode) {
  if (mode == "staged") {
    return bench.staged();
  }
  return mode == "pipeline" ? bench.pipeline() : bench.per_token();
}

void print_measurement(const Measurement& measurement, double resident_ms) {
  std::cout << fmt::format("{:<10}  {:>14.4f}  {:>14.0f}  {:>12.4f}\n",
                           measurement.mode,
                           measurement.ms_per_batch,
                           measurement.tokens_per_second,
                           measurement.ms_per_batch / resident_ms);
  for (const char* name : {"gpu_busy_share",
                           "copy_hidden_share",
                           "cpu_overlap_share",
                           "host_synchronisations_per_batch",
                           "host_synchronisations_per_token",
                           "model_flops_utilisation",
                           "share_of_peer",
                           "loss",
                           "cores_used"}) {
    const double figure = number_result(measurement.figures, name);
    if (!std::isnan(figure)) {
      std::cout << fmt::format("  {:<32} {:.6g}\n", name, figure);
    }
  }
  std::cout << std::flush;
}

// Returns whether all modes computed the same.
bool run_score(const Arguments& arguments, Json& json) {
  const PipelineConfig config = load(arguments);
  require_stage(config, "lm_score");
  ScoreBench bench(config, arguments.score);
  json["workload"] = to_json(bench.workload());
  std::cout << fmt::format(
      "{:<10}  {:>14}  {:>14}  {:>12}\n", "mode", "ms per batch", "tokens/s", "to resident");
  Json& modes = json["modes"] = Json::object();
  const auto add = [&](const Measurement& measurement, double resident_ms) {
    print_measurement(measurement, resident_ms);
    Json& figures =
        modes[measurement.mode] = {{"ms_per_batch", measurement.ms_per_batch},
                                   {"tokens_per_second", measurement.tokens_per_second},
                                   {"ratio_to_resident", measurement.ms_per_batch / resident_ms}};
    figures.update(to_json(measurement.figures));
  };
  const Measurement resident = bench.resident();
  add(resident, resident.ms_per_batch);
  for (const std::string& mode : arguments.modes) {
    add(measure(bench, mode), resident.ms_per_batch);
  }
  bool agree = true;
  Json& agreements = json["agreements"] = Json::array();
  for (const Agreement& agreement : bench.agreements()) {
    agree = agree && agreement.holds;
    agreements.push_back(
        {{"what", agreement.what}, {"holds", agreement.holds}, {"detail", agreement.detail}});
    std::cout << fmt::format(
        "{} {}: {}\n", agreement.holds ? "ok    " : "FAILED", agreement.what, agreement.detail);
  }
  return agree;
}

void run_train(const Arguments& arguments, Json& json) {
  const PipelineConfig config = load(arguments);
  require_stage(config, "lm_train");
  const TrainBench bench(config, arguments.train);
  json["workload"] = to_json(bench.workload());
  std::cout << fmt::format(
      "{:<10}  {:>14}  {:>14}  {:>12}\n", "mode", "ms per batch", "tokens/s", "to the first");
  Json& modes = json["modes"] = Json::object();
  double first_ms = std::nan("");
  for (const std::string& mode : arguments.train_modes) {
    const Measurement measurement = mode == "resident"     ? bench.resident()
                                    : mode == "whole_rows" ? bench.whole_rows()
                                                           : bench.pipeline();
    first_ms = std::isnan(first_ms) ? measurement.ms_per_batch : first_ms;
    print_measurement(measurement, first_ms);
    Json& figures = modes[mode] = {{"ms_per_batch", measurement.ms_per_batch},
                                   {"tokens_per_second", measurement.tokens_per_second}};
    figures.update(to_json(measurement.figures));
  }
}

std::vector<int> threads_to_measure(const Arguments& arguments) {
  if (!arguments.threads.empty()) {
    return arguments.threads;
  }
  std::vector<int> threads;
  for (int n = 1; n <= static_cast<int>(std::thread::hardware_concurrency()); n *= 2) {
    threads.push_back(n);
  }
  return threads;
}

void run_load(const Arguments& arguments, Json& json) {
  require_stage(load(arguments), "gemm_load");
  const LoadBench bench(
      [&](const std::vector<std::string>& overrides) { return load(arguments, overrides); },
      arguments.load);
  std::cout << fmt::format(
      "{:>7}  {:>12}  {:>12}  {:>10}  with a device of ms per batch: GPU busy, "
      "cores used\n",
      "threads",
      "ms per batch",
      "tokens/s",
      "cores used");
  Json& rows = json["threads"] = Json::array();
  for (const int threads : threads_to_measure(arguments)) {
    const ThreadsFigures figures = bench.measure(threads);
    std::cout << fmt::format("{:>7}  {:>12.3f}  {:>12.0f}  {:>10.2f}",
                             threads,
                             figures.ms_per_batch,
                             figures.tokens_per_second,
                             figures.cores_used);
    Json loaded = Json::array();
    for (const LoadedRun& run : figures.loaded) {
      std::cout << fmt::format("  {:.3f}: {:.1f} %, {:.2f}",
                               run.ms_per_batch,
                               100 * run.busy_share_once_it_runs,
                               run.cores_used);
      loaded.push_back({{"ms_per_batch_asked", run.ms_per_batch_asked},
                        {"ms_per_batch", run.ms_per_batch},
                        {"busy_share_once_it_runs", run.busy_share_once_it_runs},
                        {"gpu_busy_share", run.gpu_busy_share},
                        {"cores_used", run.cores_used}});
    }
    std::cout << std::endl;
    rows.push_back({{"threads", threads},
                    {"break_even_ms_per_batch", figures.ms_per_batch},
                    {"tokens_per_second", figures.tokens_per_second},
                    {"cores_used", figures.cores_used},
                    {"loaded", std::move(loaded)}});
  }
}

void add_shared_options(CLI::App& command, Arguments& arguments) {
  command.add_option("CONFIG", arguments.config_path, "Configuration file (YAML)")->required();
  command.add_option("--set", arguments.overrides, "Replace an option, as for penstock run")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_option("--json", arguments.json_path, "Also write all figures to this file");
}

void add_score(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand(
      "score", "Measure lm_score: kernels alone, with copies, from shards, a token at a time");
  add_shared_options(*command, arguments);
  command
      ->add_option("--modes",
                   arguments.modes,
                   "What to compare with the kernels alone: staged, pipeline, per_token")
      ->delimiter(',')
      ->check(CLI::IsMember({"staged", "pipeline", "per_token"}))
      ->capture_default_str();
  arguments.score.vocabulary = gpu::kDefaultVocabulary;
  command
      ->add_option("--vocabulary",
                   arguments.score.vocabulary,
                   "Words of seeded weights; the tokenizer's where that is larger")
      ->capture_default_str();
  command->add_option("--batches", arguments.score.num_batches, "Distinct batches in a pass")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--warm-up", arguments.score.warm_up, "Passes before times count")
      ->capture_default_str();
  command->add_option("--repeats", arguments.score.repeats, "Passes that count")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--token-repeats",
                   arguments.score.token_repeats,
                   "Passes over one batch, a token at a time, that count")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
}

void add_train(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand(
      "train", "Measure lm_train: on batches in device memory, on whole rows, from shards");
  add_shared_options(*command, arguments);
  command
      ->add_option(
          "--modes", arguments.train_modes, "What to measure: resident, whole_rows, pipeline")
      ->delimiter(',')
      ->check(CLI::IsMember({"resident", "whole_rows", "pipeline"}))
      ->capture_default_str();
  command->add_option("--batches", arguments.train.num_batches, "Distinct batches in a pass")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--warm-up", arguments.train.warm_up, "Passes before times count")
      ->capture_default_str();
  command->add_option("--repeats", arguments.train.repeats, "Passes that count")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--peak-teraflops",
                   arguments.train.peak_teraflops,
                   "What the GPU can do in bf16, for its utilisation")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--peer-tokens-per-second",
                      arguments.train.peer_tokens_per_second,
                      "Speed of another program, to be compared with");
}

void add_load(CLI::App& app, Arguments& arguments) {
  CLI::App* command = app.add_subcommand(
      "load", "Measure with gemm_load how fast a GPU each number of threads can feed");
  add_shared_options(*command, arguments);
  command
      ->add_option("--threads", arguments.threads, "Numbers of threads; 1, 2, 4, ... unless given")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--multiples",
                   arguments.load.multiples,
                   "Times the break-even time per batch that the device is set to")
      ->capture_default_str()
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--shards-per-thread",
                   arguments.load.shards_per_thread,
                   "Shards that are read, for each thread")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
}

void write_json(const std::string& path, const Json& json) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) {
    throw std::runtime_error("cannot write '" + path + "'");
  }
}

int run(int argc, char** argv) {
  CLI::App app("Measures Penstock on a CUDA device.", "gpu_bench");
  app.require_subcommand(1);
  Arguments arguments;
  int device = 0;
  app.add_option("--device", device, "Number of the CUDA device")->capture_default_str();
  add_score(app, arguments);
  add_load(app, arguments);
  add_train(app, arguments);
  CLI11_PARSE(app, argc, argv);
  arguments.score.device = device;
  arguments.load.device = device;
  arguments.train.device = device;

  const gpu::CudaAvailability cuda = gpu::cuda_availability();
  if (!cuda.available) {
    throw std::runtime_error(cuda.reason);
  }
  Json json = {{"penstock_version", PENSTOCK_VERSION},
               {"date", utc_now()},
               {"command", std::vector<std::string>(argv, argv + argc)},
               {"machine", to_json(describe_machine(device))}};
  bool agree = true;
  if (app.got_subcommand("score")) {
    agree = run_score(arguments, json);
  } else if (app.got_subcommand("train")) {
    run_train(arguments, json);
  } else {
    run_load(arguments, json);
  }
  if (!arguments.json_path.empty()) {
    write_json(arguments.json_path, json);
  }
  return agree ? 0 : 1;
}

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  try {
    return penstock::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "gpu_bench: " << penstock::full_message(error) << '\n';
    return 1;
  }
}
