// Files of safetensors: header, places and sizes.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/files/checkpoint.h"
#include "tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ptbert::fuzz::TemporaryFolder folder;
  const auto path = folder.write("model.safetensors", {reinterpret_cast<const char*>(data), size});
  try {
    ptbert::fuzz::read_all(ptbert::load_safetensors(path.string()));
  } catch (const ptbert::FormatError&) {
    // Damaged.
  }
  return 0;
}
