#pragma once

#include <string>

#include "pipeline/pipeline.h"
#include "report/page_data.h"
#include "report/run_recorder.h"

namespace penstock {

// What the page of a run that goes on shows to a reader who has come to `position`. `config` is the
// path as given. Any thread.
PageData live_page(const Pipeline& pipeline,
                   const RunRecorder& recorder,
                   const std::string& config,
                   const RunRecorder::Position& position);

}  // namespace penstock
