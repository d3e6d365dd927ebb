#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptbert {

/// Whether modules may save work on the CPU: none on padding, in the last layer and the heads none
/// for tokens that nothing depends on, attention as one kernel in inference, dropout of float32
/// drawn in parallel, products by the faster library. Results differ from those of the plain path
/// by rounding, and dropout draws other elements from the same distribution. True unless changed,
/// for the whole process.
bool fast_paths_enabled();

/// With `enabled` false every forward pass takes the plain path: the operations and the random
/// draws of the original, in its order.
void enable_fast_paths(bool enabled);

/// How a step of a forward pass was computed, and why so.
struct PathChoice {
  std::string step, path, reason;
  /// How often it was computed so.
  int64_t times = 1;
};

/// While one lives, the choices of forward passes in its thread are kept in it. The innermost one
/// counts: recorders end in the thread and the scope that they began in.
class PathRecorder {
public:
  PathRecorder();
  ~PathRecorder();
  PathRecorder(const PathRecorder&) = delete;
  PathRecorder& operator=(const PathRecorder&) = delete;

  /// In the order in which they were made first.
  const std::vector<PathChoice>& choices() const { return choices_; }

  /// For the core, which tells its choices; nothing where no recorder lives.
  static void note(const char* step, const char* path, std::string_view reason);
  static bool is_listening();
  /// Whether a choice of this step was told to it.
  static bool knows(std::string_view step);

private:
  std::vector<PathChoice> choices_;
  PathRecorder* outer_;
};

} // namespace ptbert
