#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace ptbert::fuzz {

/// Ends the process, which libFuzzer reports with its input, where a property does not hold.
inline void require(bool holds, const char* property) {
  if (!holds) {
    std::fprintf(stderr, "Does not hold: %s\n", property);
    std::abort();
  }
}

/// Whether `run` throws an Error.
template <typename Error, typename Run> bool throws(Run run) {
  try {
    run();
  } catch (const Error&) {
    return true;
  }
  return false;
}

/// The bytes of one run, taken from the front: first choices, then text.
class Input {
public:
  Input(const std::uint8_t* data, std::size_t size)
      : bytes_(reinterpret_cast<const char*>(data), size) {}

  /// The next byte; 0 at the end.
  std::uint8_t byte() {
    const std::string_view taken = take(1);
    return taken.empty() ? 0 : static_cast<std::uint8_t>(taken[0]);
  }
  /// What stands before the next zero byte, which is dropped.
  std::string_view part() {
    const std::string_view taken = take(bytes_.find('\0'));
    take(1);
    return taken;
  }
  std::string_view rest() { return take(bytes_.size()); }

private:
  std::string_view take(std::size_t count) {
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

  std::string_view bytes_;
};

/// A folder for what is read as a file, removed when the process ends without a finding.
class TemporaryFolder {
public:
  TemporaryFolder() { std::filesystem::create_directories(path_); }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const char* name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

private:
  std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("ptbert_fuzz_" + std::to_string(getpid()));
};

} // namespace ptbert::fuzz
