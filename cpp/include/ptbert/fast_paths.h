#pragma once

namespace ptbert {

/// Whether modules may save work on the CPU: none on padding, in the last layer and the heads none
/// for tokens that nothing depends on, attention as one kernel in inference, dropout of float32
/// drawn in parallel. Results differ from those of the plain path by rounding, and dropout
/// draws other elements from the same distribution. True unless changed, for the whole process.
bool fast_paths_enabled();

/// With `enabled` false every forward pass takes the plain path: the operations and the random
/// draws of the original, in its order.
void enable_fast_paths(bool enabled);

} // namespace ptbert
