#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptbert {

/// Whether modules may take fast paths on the CPU: skip padding; skip, in the last layer and the
/// heads, tokens that no output depends on; run attention as one fused kernel in inference; draw
/// float32 dropout in parallel; multiply with the faster library. Results differ from those of the
/// plain path by rounding, and dropout drops other elements, with the same probability. The default
/// is true; the setting is per process.
bool fast_paths_enabled();

/// With `enabled` false every forward pass takes the plain path: the operations and random draws of
/// the 2019 library, in its order.
void enable_fast_paths(bool enabled);

/// How a step of a forward pass was computed, and why.
struct PathChoice {
  std::string step, path, reason;
  /// How often this choice was made.
  int64_t times = 1;
};

/// While an instance lives, it records the choices of forward passes in its thread. Of nested
/// recorders only the innermost records; destroy them in reverse order and in the same thread.
class PathRecorder {
public:
  PathRecorder();
  ~PathRecorder();
  PathRecorder(const PathRecorder&) = delete;
  PathRecorder& operator=(const PathRecorder&) = delete;

  /// In the order in which each was first made.
  const std::vector<PathChoice>& choices() const { return choices_; }

  /// Called by the library to record a choice; does nothing without a recorder in this thread.
  static void note(const char* step, const char* path, std::string_view reason);
  /// Whether this thread has a recorder.
  static bool is_listening();
  /// Whether the current recorder has a choice for `step`.
  static bool knows(std::string_view step);

private:
  std::vector<PathChoice> choices_;
  PathRecorder* outer_;
};

} // namespace ptbert
