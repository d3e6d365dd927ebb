#include "ptbert/fast_paths.h"

#include <atomic>

namespace ptbert {
namespace {

std::atomic<bool> enabled_everywhere{true};

} // namespace

bool fast_paths_enabled() { return enabled_everywhere; }

void enable_fast_paths(bool enabled) { enabled_everywhere = enabled; }

} // namespace ptbert
