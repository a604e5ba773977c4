// What pipeline/graph_run.cpp relies on in oneTBB, so that an upgrade tells us before users do.
#include <atomic>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>
#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

namespace {

namespace flow = oneapi::tbb::flow;
using Node = flow::multifunction_node<int, std::tuple<int>, flow::queueing>;

template <typename Body>
void in_arena(int threads, const Body& body) {
  oneapi::tbb::task_arena arena(threads);
  arena.execute(body);
}

TEST(TbbFacts, SerialQueueingMultifunctionNodesKeepTheOrderOfWhatTheyEmit) {
  for (int round = 0; round < 50; ++round) {
    in_arena(4, [] {
      flow::graph graph;
      std::vector<int> seen;
      Node first(graph, flow::serial, [](const int& value, auto& ports) {
        std::get<0>(ports).try_put(value);
      });
      Node second(graph, flow::serial, [&](const int& value, auto&) { seen.push_back(value); });
      flow::make_edge(flow::output_port<0>(first), second);
      for (int i = 0; i < 500; ++i) {
        first.try_put(i);
      }
      graph.wait_for_all();
      ASSERT_EQ(seen.size(), 500u);
      EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    });
  }
}

TEST(TbbFacts, AForeignThreadCanFeedAQueueingNodeThatTheGraphWaitsFor) {
  in_arena(1, [] {
    flow::graph graph;
    std::atomic<int> sum{0};
    Node node(graph, flow::serial, [&](const int& value, auto&) { sum += value; });
    graph.reserve_wait();
    std::thread feeder([&] {
      for (int i = 0; i < 100; ++i) {
        EXPECT_TRUE(node.try_put(1));
      }
      graph.release_wait();
    });
    graph.wait_for_all();
    feeder.join();
    EXPECT_EQ(sum, 100);
  });
}

TEST(TbbFacts, ACancelledGraphWaitsForWhatIsReserved) {
  in_arena(2, [] {
    flow::graph graph;
    std::atomic<bool> released{false};
    graph.reserve_wait();
    std::thread holder([&] {
      graph.cancel();
      // Long enough for a wait that does not wait to return first.
      for (int i = 0; i < 1000; ++i) {
        std::this_thread::yield();
      }
      released = true;
      graph.release_wait();
    });
    graph.wait_for_all();
    EXPECT_TRUE(released);
    holder.join();
  });
}

TEST(TbbFacts, ACancelledGraphDropsWhatIsQueued) {
  in_arena(2, [] {
    flow::graph graph;
    std::atomic<int> runs{0};
    Node node(graph, flow::serial, [&](const int&, auto&) {
      ++runs;
      graph.cancel();
    });
    for (int i = 0; i < 1000; ++i) {
      node.try_put(i);
    }
    graph.wait_for_all();
    EXPECT_EQ(runs, 1);
  });
}

TEST(TbbFacts, BodiesRunInTheArenaInWhichTheGraphWasMade) {
  in_arena(3, [] {
    flow::graph graph;
    std::atomic<int> outside{0};
    Node node(graph, flow::unlimited, [&](const int&, auto&) {
      const int slot = oneapi::tbb::this_task_arena::current_thread_index();
      outside += slot < 0 || slot >= 3;
    });
    for (int i = 0; i < 1000; ++i) {
      node.try_put(i);
    }
    graph.wait_for_all();
    EXPECT_EQ(outside, 0);
  });
}

TEST(TbbFacts, IsolationKeepsOtherBodiesOutOfABodyThatRunsParallelWork) {
  in_arena(2, [] {
    flow::graph graph;
    std::atomic<int> entered_twice{0};
    std::vector<char> inside(2, 0);  // by slot
    Node node(graph, flow::unlimited, [&](const int&, auto&) {
      const auto slot =
          static_cast<std::size_t>(oneapi::tbb::this_task_arena::current_thread_index());
      oneapi::tbb::this_task_arena::isolate([&] {
        entered_twice += inside[slot];
        inside[slot] = 1;
        oneapi::tbb::parallel_for(0, 100, [](int) { std::this_thread::yield(); });
        inside[slot] = 0;
      });
    });
    for (int i = 0; i < 200; ++i) {
      node.try_put(i);
    }
    graph.wait_for_all();
    EXPECT_EQ(entered_twice, 0);
  });
}

}  // namespace
