// TensorFlow's checkpoints: an index, beside the bytes that belong to the samples. Blocks get the
// checksums that they should have, so that what is wrong inside them is reached, too.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>

#include "files/crc32c.h"
#include "files/sorted_table.h"
#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/files/tf_checkpoint.h"

namespace ptbert::fuzz {
namespace {

/// Notes behind each block its right checksum, as long as the table can be read that far.
std::string with_right_checksums(std::string table) {
  for (int block = 0; block < 32; ++block) {
    std::size_t offset = 0, size = 0;
    try {
      read_sorted_table(table);
      return table;
    } catch (const FormatError& error) {
      if (std::strstr(error.what(), "is damaged: its checksum") == nullptr ||
          std::sscanf(error.what(), "the block of %zu bytes at byte %zu", &size, &offset) != 2)
        return table;
    }
    const std::string_view bytes(table);
    const std::uint32_t checksum = masked_crc32c(bytes.substr(offset, size + 1));
    std::memcpy(table.data() + offset + size + 1, &checksum, sizeof checksum);
  }
  return table;
}

class Folder : public TemporaryFolder {
public:
  Folder() {
    for (const auto* name : {"00000-of-00001", "00000-of-00002", "00001-of-00002"}) {
      const auto sample = std::strstr(name, "-of-00002") != nullptr
                              ? "partitioned.data-" + std::string(name)
                              : "bert/bert_model.ckpt.data-" + std::string(name);
      std::filesystem::copy(std::filesystem::path(PTBERT_TF_SAMPLES) / sample,
                            path() / ("model.data-" + std::string(name)));
    }
  }
};

void check(std::string_view index) {
  static const Folder folder;
  folder.write("model.index", index);
  const TfCheckpoint checkpoint(folder.path() / "model");
  std::size_t sum = 0; // of all bytes: each must be there
  for (const TfVariable& variable : checkpoint.variables()) {
    try {
      if (!variable.parts.empty()) {
        for (const char byte : checkpoint.joined(variable))
          sum += static_cast<unsigned char>(byte);
        continue;
      }
      const char* data = checkpoint.data(variable);
      for (std::size_t i = 0; i < variable.bytes.size; ++i)
        sum += static_cast<unsigned char>(data[i]);
    } catch (const FormatError&) {
      // Bytes with another checksum.
    }
  }
  volatile std::size_t kept = sum;
  static_cast<void>(kept);
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    ptbert::fuzz::check(
        ptbert::fuzz::with_right_checksums({reinterpret_cast<const char*>(data), size}));
  } catch (const ptbert::FormatError&) {
    // Damaged.
  } catch (const ptbert::FileError&) {
    // It names other files.
  }
  return 0;
}
