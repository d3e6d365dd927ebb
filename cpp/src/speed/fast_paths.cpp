#include "ptbert/speed/fast_paths.h"

#include <algorithm>
#include <atomic>

namespace ptbert {
namespace {

std::atomic<bool> enabled_everywhere{true};
thread_local PathRecorder* innermost_recorder = nullptr;

} // namespace

bool fast_paths_enabled() { return enabled_everywhere; }

void enable_fast_paths(bool enabled) { enabled_everywhere = enabled; }

PathRecorder::PathRecorder() : outer_(innermost_recorder) { innermost_recorder = this; }

PathRecorder::~PathRecorder() { innermost_recorder = outer_; }

bool PathRecorder::is_listening() { return innermost_recorder != nullptr; }

bool PathRecorder::knows(std::string_view step) {
  return is_listening() &&
         std::any_of(innermost_recorder->choices_.begin(), innermost_recorder->choices_.end(),
                     [&](const auto& choice) { return choice.step == step; });
}

void PathRecorder::note(const char* step, const char* path, std::string_view reason) {
  if (!is_listening())
    return;
  auto& choices = innermost_recorder->choices_;
  const auto known = std::find_if(choices.begin(), choices.end(), [&](const auto& choice) {
    return choice.step == step && choice.path == path && choice.reason == reason;
  });
  if (known != choices.end())
    ++known->times;
  else
    choices.push_back({step, path, std::string(reason)});
}

} // namespace ptbert
