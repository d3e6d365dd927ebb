#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <source_location>
#include <string>
#include <type_traits>

#include "ptbert/models/bert_config.h"
#include "ptbert/speed/fast_paths.h"

namespace ptbert {

/// Makes every test start from the same random state.
class SeededTest : public testing::Test {
protected:
  void SetUp() override { torch::manual_seed(0); }
};

/// A scope in which forward passes take the plain path.
class PlainPaths {
public:
  PlainPaths() { enable_fast_paths(false); }
  ~PlainPaths() { enable_fast_paths(true); }
};

/// The configuration that the Python tests call TINY_CONFIG.
inline BertConfig tiny_config() {
  BertConfig config;
  config.vocab_size = 99;
  config.hidden_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.intermediate_size = 37;
  return config;
}

/// Token ids that are not the padding's.
inline torch::Tensor random_ids(torch::IntArrayRef shape) {
  return torch::randint(1, tiny_config().vocab_size, shape, torch::kLong);
}

inline std::filesystem::path golden_folder() {
  return std::filesystem::path(__FILE__).parent_path() / "../golden";
}

/// A golden .json file, keys in the file's order.
inline nlohmann::ordered_json read_golden(const std::string& name) {
  std::ifstream file(golden_folder() / name);
  return nlohmann::ordered_json::parse(file);
}

/// Fails, with the largest difference, unless shapes are equal and values within `tolerance`.
inline void expect_close(const torch::Tensor& actual, const torch::Tensor& expected,
                         double tolerance = 1e-6,
                         std::source_location where = std::source_location::current()) {
  const auto fail = [&where](const std::string& message) {
    ADD_FAILURE_AT(where.file_name(), static_cast<int>(where.line())) << message;
  };
  if (actual.sizes() != expected.sizes())
    return fail(c10::str("shape ", actual.sizes(), ", expected ", expected.sizes()));
  if (actual.numel() == 0)
    return;
  const auto left = actual.detach().cpu().to(torch::kDouble);
  const auto right = expected.detach().cpu().to(torch::kDouble);
  const auto worst = (left - right).abs().max().item<double>();
  if (!(worst <= tolerance)) // written so that NaN fails
    fail(c10::str("largest difference ", worst, ", allowed ", tolerance));
}

inline void expect_equal(const torch::Tensor& actual, const torch::Tensor& expected,
                         std::source_location where = std::source_location::current()) {
  EXPECT_EQ(actual.scalar_type(), expected.scalar_type());
  expect_close(actual, expected, 0, where);
}

/// Returns the message of the exception of this very type that `run` throws.
template <typename Error, typename Run> std::string message_of(Run run) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(typeid(error), typeid(Error));
    if constexpr (std::is_base_of_v<c10::Error, Error>)
      return error.what_without_backtrace();
    return error.what();
  }
  return "nothing was thrown";
}

} // namespace ptbert
