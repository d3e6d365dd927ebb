// pytorch_model.bin: a zip archive as a whole; or the pickle of one on its own, which the archive's
// checksum would hide.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "files/unpickler.h"
#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/files/checkpoint.h"
#include "tensors.h"

namespace ptbert::fuzz {
namespace {

void check(std::string_view bytes) {
  static const TemporaryFolder folder;
  read_all(load_pytorch_bin(folder.write("pytorch_model.bin", bytes).string()));
}

void check_pickle(std::string_view program) {
  constexpr std::size_t kBytes = 96;
  read_all(unpickle_tensors(
      program, [](const std::string&) { return torch::zeros({kBytes}, torch::kByte).storage(); }));
}

} // namespace
} // namespace ptbert::fuzz

// torch's reader of zip archives does not free the directory of one that is damaged.
extern "C" const char* __lsan_default_suppressions() { return "leak:mz_zip_reader"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (auto* check : {ptbert::fuzz::check, ptbert::fuzz::check_pickle}) {
    try {
      check(bytes);
    } catch (const ptbert::FormatError&) {
      // Damaged, or refused.
    }
  }
  return 0;
}
