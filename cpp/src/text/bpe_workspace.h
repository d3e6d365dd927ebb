#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bpe_word_cache.h"
#include "ptbert/text/bpe.h"

namespace ptbert::detail {

/// What one thread needs to tokenize.
struct BpeWorkspace {
  BpeWordCache cache;
  std::vector<Bpe::Piece> pieces;
  std::vector<Bpe::Symbol> symbols;
};

/// The workspaces of a tokenizer, as many as threads were ever in it at once.
class BpeWorkspaces {
public:
  /// Borrows a workspace for its own lifetime.
  class Lease {
  public:
    explicit Lease(BpeWorkspaces& owner) : owner_(owner) {
      const std::lock_guard lock(owner_.mutex_);
      if (!owner_.free_.empty()) {
        workspace_ = std::move(owner_.free_.back());
        owner_.free_.pop_back();
      }
    }
    ~Lease() {
      if (workspace_ != nullptr) {
        const std::lock_guard lock(owner_.mutex_);
        owner_.free_.push_back(std::move(workspace_));
      }
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    BpeWorkspace& operator*() {
      if (workspace_ == nullptr) {
        workspace_ = std::make_unique<BpeWorkspace>();
      }
      return *workspace_;
    }

  private:
    BpeWorkspaces& owner_;
    std::unique_ptr<BpeWorkspace> workspace_;
  };

private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<BpeWorkspace>> free_;
};

} // namespace ptbert::detail
