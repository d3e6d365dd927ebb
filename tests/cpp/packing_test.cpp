#include "ptbert/speed/packing.h"

#include "support.h"

namespace ptbert {
namespace {

Tensor longs(std::vector<int64_t> values, torch::IntArrayRef shape) {
  return torch::tensor(values, torch::kLong).view(shape);
}

TEST(PackingTest, OrdersSequencesByLengthWithoutTheirPadding) {
  const auto ids = torch::arange(10, 22).view({3, 4});
  const auto mask = longs({1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 0, 0}, {3, 4}); // the second has a gap
  const auto packing = make_packing(ids, mask);
  expect_equal(packing.pack(ids), longs({14, 16, 18, 19, 10, 11, 12, 13}, {8}));
  expect_equal(packing.first_tokens, longs({0, 2, 4}, {3}));
  expect_equal(packing.ranks, longs({2, 0, 1}, {3}));
  ASSERT_EQ(packing.blocks.size(), 2);
  EXPECT_EQ(packing.blocks[0].sequences, 2);
  EXPECT_EQ(packing.blocks[0].length, 2);
  EXPECT_EQ(packing.blocks[1].sequences, 1);
  EXPECT_EQ(packing.blocks[1].length, 4);

  const auto tokens = packing.split(packing.pack(ids).unsqueeze(1));
  expect_equal(tokens[0], longs({14, 16, 18, 19}, {2, 2, 1}));
  expect_equal(tokens[1], longs({10, 11, 12, 13}, {1, 4, 1}));
  const auto rows = packing.split(longs({7, 8, 9}, {3, 1})); // one row for each sequence
  expect_equal(rows[0], longs({7, 8}, {2, 1, 1}));
  expect_equal(rows[1], longs({9}, {1, 1, 1}));
}

TEST(PackingTest, BatchWithoutPaddingIsOneBlockInPlace) {
  const auto ids = torch::arange(6).view({2, 3});
  for (const auto& mask : {Tensor(), torch::ones_like(ids)}) {
    const auto packing = make_packing(ids, mask);
    expect_equal(packing.pack(ids), ids.flatten());
    expect_equal(packing.first_tokens, longs({0, 3}, {2}));
    expect_equal(packing.ranks, longs({0, 1}, {2}));
    ASSERT_EQ(packing.blocks.size(), 1);
  }
}

TEST(PackingTest, AnyDtypeOfZerosAndOnesPacks) {
  const auto ids = torch::arange(4).view({2, 2});
  const auto mask = longs({1, 0, 1, 1}, {2, 2});
  for (const auto dtype : {torch::kBool, torch::kInt, torch::kFloat, torch::kHalf})
    expect_equal(make_packing(ids, mask.to(dtype)).tokens, longs({0, 2, 3}, {3}));
}

TEST(PackingTest, MasksThatCouldChangeTheResultDoNotPack) {
  const auto ids = torch::arange(4).view({2, 2});
  EXPECT_EQ(why_not_packed(ids, {}), nullptr);
  EXPECT_EQ(why_not_packed(ids, longs({1, 0, 1, 1}, {2, 2})), nullptr);
  EXPECT_STREQ(why_not_packed(ids, longs({0, 1, 1, 1}, {2, 2})),
               "the mask hides the first token of a row");
  EXPECT_STREQ(why_not_packed(ids, longs({1, 1, 0, 0}, {2, 2})), // a row without a token
               "the mask hides the first token of a row");
  for (const auto& mask :
       {torch::tensor({1.0, 0.5, 1.0, 1.0}).view({2, 2}), longs({1, 2, 1, 1}, {2, 2})})
    EXPECT_STREQ(why_not_packed(ids, mask), "the mask holds other values than 0 and 1");
  EXPECT_STREQ(why_not_packed(ids, torch::ones({2, 2}).requires_grad_()),
               "the mask has a gradient");
  EXPECT_NE(why_not_packed(ids.to(torch::kMeta), {}), nullptr);
}

} // namespace
} // namespace ptbert
