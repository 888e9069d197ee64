// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Ordered maps and sets that are cheap to copy. A copy shares all records with the original; a
// change copies the changed record and the path to it, O(log n), and leaves every other copy
// unchanged. A record that only one map has is changed in place. A writer can thus publish a
// version of a large state after each change, and readers keep their version without a lock.
//
// An entry that a change does not name stays where it is, in the changed map and in every copy, so
// that an index may point to it.
//
// The look-ups are those of std::map. Changes go through Mutable, because a reference from
// operator[] would hide the copy. Thread-compatible: each object belongs to one thread, but copies
// of one map may be read, changed and destroyed on different threads at once.
#ifndef WATTLE_BASE_PERSISTENT_MAP_H_
#define WATTLE_BASE_PERSISTENT_MAP_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace wattle {
namespace persistent_internal {

// A pointer that counts owners in the object itself. Unlike std::shared_ptr, IsOnlyOwner
// synchronizes with the release of the other owners, so that the last one may change the object.
template <typename T>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T* object) : object_(object) { Retain(); }
  Owned(const Owned& other) : object_(other.object_) { Retain(); }
  Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Owned() {
    if (object_ != nullptr && object_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete object_;
    }
  }

  [[nodiscard]] bool IsOnlyOwner() const {
    // Acquire pairs with the release in the destructor: the reads of former owners happen before
    // this owner's change.
    return object_->owners.load(std::memory_order_acquire) == 1;
  }
  [[nodiscard]] T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  void Retain() {
    if (object_ != nullptr) {
      // Relaxed is enough, because the copied owner keeps the object alive.
      object_->owners.fetch_add(1, std::memory_order_relaxed);
    }
  }
  T* object_ = nullptr;
};

}  // namespace persistent_internal

// An AVL tree: the heights of two sibling trees differ by at most 1 (Knuth, The Art of Computer
// Programming, volume 3, 6.2.3).
template <typename Key, typename Value>
class PersistentMap {
  struct Entry {
    Entry(Key key, Value value) : pair(std::move(key), std::move(value)) {}
    mutable std::atomic<int64_t> owners{0};
    std::pair<const Key, Value> pair;
  };
  struct Node;
  using EntryPointer = persistent_internal::Owned<Entry>;
  using NodePointer = persistent_internal::Owned<Node>;
  struct Node {
    explicit Node(EntryPointer one) : entry(std::move(one)) {}
    Node(const Node& other)
        : entry(other.entry), left(other.left), right(other.right), height(other.height) {}
    Node& operator=(const Node&) = delete;
    ~Node() = default;

    mutable std::atomic<int64_t> owners{0};
    EntryPointer entry;
    NodePointer left;
    NodePointer right;
    int height = 1;
  };

 public:
  using value_type = std::pair<const Key, Value>;

  // Holds until its map changes.
  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = PersistentMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return Top()->entry->pair; }
    pointer operator->() const { return &Top()->entry->pair; }
    const_iterator& operator++() {
      Step(&Node::right, &Node::left);
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    const_iterator& operator--() {
      if (depth_ == 0) {
        Descend(root_, &Node::right);
      } else {
        Step(&Node::left, &Node::right);
      }
      return *this;
    }
    const_iterator operator--(int) {
      const_iterator before = *this;
      --*this;
      return before;
    }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.Top() == b.Top();
    }
    friend bool operator!=(const const_iterator& a, const const_iterator& b) { return !(a == b); }

   private:
    friend class PersistentMap;
    // Height of an AVL tree with 2^27 entries.
    static constexpr size_t kDepthMax = 40;

    explicit const_iterator(const Node* root) : root_(root) {}
    [[nodiscard]] const Node* Top() const { return depth_ == 0 ? nullptr : path_[depth_ - 1]; }
    void Push(const Node* node) {
      WATTLE_CHECK(depth_ < kDepthMax, "an AVL tree is not deeper");
      path_[depth_++] = node;
    }
    void Descend(const Node* from, NodePointer Node::*side) {
      for (const Node* node = from; node != nullptr; node = (node->*side).get()) {
        Push(node);
      }
    }
    // Moves to the neighbour on the side `towards`.
    void Step(NodePointer Node::*towards, NodePointer Node::*away) {
      if (const Node* next = (Top()->*towards).get(); next != nullptr) {
        Descend(next, away);
        return;
      }
      const Node* below = nullptr;
      do {
        below = Top();
        --depth_;
      } while (depth_ > 0 && (Top()->*towards).get() == below);
    }

    const Node* root_ = nullptr;
    std::array<const Node*, kDepthMax> path_ = {};  // From the root to the current node.
    size_t depth_ = 0;                              // 0: past the end.
  };
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const_iterator begin() const {
    const_iterator first(root_.get());
    first.Descend(root_.get(), &Node::left);
    return first;
  }
  [[nodiscard]] const_iterator end() const { return const_iterator(root_.get()); }
  [[nodiscard]] const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  [[nodiscard]] const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }

  // The first entry whose key is not less than `key`.
  [[nodiscard]] const_iterator lower_bound(const Key& key) const {
    const_iterator at(root_.get());
    size_t depth = 0;  // Depth of the last node that is not less.
    const Node* node = root_.get();
    while (node != nullptr) {
      at.Push(node);
      // Pushes the whole search path and cuts it at the end, because the answer may be any node of
      // the path.
      if (node->entry->pair.first < key) {
        node = node->right.get();
      } else {
        depth = at.depth_;
        node = node->left.get();
      }
    }
    at.depth_ = depth;
    return at;
  }
  [[nodiscard]] const_iterator find(const Key& key) const {
    const const_iterator at = lower_bound(key);
    return at == end() || key < at->first ? end() : at;
  }
  // Null if there is none.
  [[nodiscard]] const Value* Find(const Key& key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      if (key < node->entry->pair.first) {
        node = node->left.get();
      } else if (node->entry->pair.first < key) {
        node = node->right.get();
      } else {
        return &node->entry->pair.second;
      }
    }
    return nullptr;
  }
  [[nodiscard]] bool contains(const Key& key) const { return Find(key) != nullptr; }
  // REQUIRES: contains(key).
  [[nodiscard]] const Value& at(const Key& key) const {
    const Value* value = Find(key);
    WATTLE_CHECK(value != nullptr, "the key is in the map");
    return *value;
  }

  // The entry of `key` for change; made with Value() if there is none. The reference holds until
  // the map changes or is copied.
  Value& Mutable(const Key& key) { return MutableIn(root_, key); }
  // Returns false if there was none.
  bool erase(const Key& key) {
    if (!contains(key)) {
      return false;  // A miss must not copy the path.
    }
    EraseIn(root_, key);
    --size_;
    return true;
  }
  void clear() { *this = PersistentMap(); }

  friend bool operator==(const PersistentMap& a, const PersistentMap& b) {
    // Copies that share the root are equal without a comparison of entries.
    return a.root_.get() == b.root_.get() ||
           (a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin()));
  }
  friend bool operator!=(const PersistentMap& a, const PersistentMap& b) { return !(a == b); }

 private:
  static int HeightOf(const NodePointer& node) { return node ? node->height : 0; }
  static void Measure(Node& node) {
    node.height = 1 + std::max(HeightOf(node.left), HeightOf(node.right));
  }
  // The node for change, copied first if other maps share it. Called from the root down, because
  // copying a shared parent makes its children shared.
  static Node& Own(NodePointer& node) {
    if (!node.IsOnlyOwner()) {
      node = NodePointer(new Node(*node));
    }
    return *node;
  }
  static Entry& Own(EntryPointer& entry) {
    if (!entry.IsOnlyOwner()) {
      entry = EntryPointer(new Entry(entry->pair.first, entry->pair.second));
    }
    return *entry;
  }

  // The child on the side `from` takes the place of `top`.
  static void Rotate(NodePointer& top, NodePointer Node::*from, NodePointer Node::*to) {
    Own((*top).*from);
    NodePointer child = std::move((*top).*from);
    (*top).*from = std::move((*child).*to);
    Measure(*top);
    (*child).*to = std::move(top);
    Measure(*child);
    top = std::move(child);
  }
  static void BalanceTowards(NodePointer& top, NodePointer Node::*light, NodePointer Node::*heavy) {
    Node& child = Own((*top).*heavy);
    // An inner grandchild that is too high needs a double rotation.
    if (HeightOf(child.*light) > HeightOf(child.*heavy)) {
      Rotate((*top).*heavy, light, heavy);
    }
    Rotate(top, heavy, light);
  }
  static void Balance(NodePointer& top) {
    const int tilt = HeightOf(top->left) - HeightOf(top->right);
    if (tilt > 1) {
      BalanceTowards(top, &Node::right, &Node::left);
    } else if (tilt < -1) {
      BalanceTowards(top, &Node::left, &Node::right);
    } else {
      Measure(*top);
    }
  }

  Value& MutableIn(NodePointer& top, const Key& key) {
    if (!top) {
      top = NodePointer(new Node(EntryPointer(new Entry(key, Value()))));
      ++size_;
      return top->entry->pair.second;
    }
    Node& node = Own(top);
    const Key& here = node.entry->pair.first;
    if (!(key < here) && !(here < key)) {
      return Own(node.entry).pair.second;
    }
    Value& value = MutableIn(key < here ? node.left : node.right, key);
    Balance(top);
    return value;
  }

  static void EraseIn(NodePointer& top, const Key& key) {
    Node& node = Own(top);
    const Key& here = node.entry->pair.first;
    if (key < here) {
      EraseIn(node.left, key);
    } else if (here < key) {
      EraseIn(node.right, key);
    } else if (node.left && node.right) {
      // Only the pointer to the successor's entry moves, so the entry itself stays in place.
      node.entry = TakeFirst(node.right);
    } else {
      NodePointer child = std::move(node.left ? node.left : node.right);
      top = std::move(child);
    }
    if (top) {
      Balance(top);
    }
  }
  static EntryPointer TakeFirst(NodePointer& top) {
    Node& node = Own(top);
    if (!node.left) {
      EntryPointer first = node.entry;
      NodePointer child = std::move(node.right);
      top = std::move(child);
      return first;
    }
    EntryPointer first = TakeFirst(node.left);
    Balance(top);
    return first;
  }

  NodePointer root_;
  size_t size_ = 0;
};

// A PersistentMap that has only keys.
template <typename Key>
class PersistentSet {
  struct Nothing {
    friend bool operator==(Nothing, Nothing) { return true; }
  };
  using Map = PersistentMap<Key, Nothing>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = Key;
    using difference_type = std::ptrdiff_t;
    using pointer = const Key*;
    using reference = const Key&;

    const_iterator() = default;
    reference operator*() const { return at_->first; }
    pointer operator->() const { return &at_->first; }
    const_iterator& operator++() {
      ++at_;
      return *this;
    }
    const_iterator& operator--() {
      --at_;
      return *this;
    }
    friend bool operator==(const const_iterator& a, const const_iterator& b) {
      return a.at_ == b.at_;
    }
    friend bool operator!=(const const_iterator& a, const const_iterator& b) { return !(a == b); }

   private:
    friend class PersistentSet;
    explicit const_iterator(typename Map::const_iterator at) : at_(std::move(at)) {}
    typename Map::const_iterator at_;
  };

  [[nodiscard]] size_t size() const { return keys_.size(); }
  [[nodiscard]] bool empty() const { return keys_.empty(); }
  [[nodiscard]] const_iterator begin() const { return const_iterator(keys_.begin()); }
  [[nodiscard]] const_iterator end() const { return const_iterator(keys_.end()); }
  [[nodiscard]] const_iterator lower_bound(const Key& key) const {
    return const_iterator(keys_.lower_bound(key));
  }
  [[nodiscard]] bool contains(const Key& key) const { return keys_.contains(key); }
  void insert(const Key& key) {
    if (!keys_.contains(key)) {
      keys_.Mutable(key);
    }
  }
  bool erase(const Key& key) { return keys_.erase(key); }
  friend bool operator==(const PersistentSet& a, const PersistentSet& b) {
    return a.keys_ == b.keys_;
  }

 private:
  Map keys_;
};

}  // namespace wattle

#endif  // WATTLE_BASE_PERSISTENT_MAP_H_
