#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ptbert::detail {

/// Reusable memory for tokenizing: a workspace for each thread that tokenizes at the same time.
/// Workspace::trim() frees memory that only a very long word needed.
template <typename Workspace> class WorkspacePool {
public:
  /// Holds a workspace and returns it to the pool at the end of its lifetime.
  class Lease {
  public:
    explicit Lease(WorkspacePool& pool) : pool_(pool), workspace_(pool.take()) {}
    ~Lease() { pool_.give_back(std::move(workspace_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    Workspace& operator*() const { return *workspace_; }
    Workspace* operator->() const { return workspace_.get(); }

  private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  Lease borrow() { return Lease(*this); }

private:
  static constexpr std::size_t kMostIdle = 16; // some MiB each

  std::unique_ptr<Workspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(idle_.back());
        idle_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>();
  }

  void give_back(std::unique_ptr<Workspace> workspace) {
    workspace->trim();
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMostIdle) {
      idle_.push_back(std::move(workspace));
    }
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

} // namespace ptbert::detail
