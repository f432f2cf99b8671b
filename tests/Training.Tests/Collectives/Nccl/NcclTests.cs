using System.Diagnostics;
using System.Runtime.InteropServices;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Native;
using TorchSharp;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Tests.Collectives.Nccl;

/// <summary>What NCCL asks of its callers, and what a rank may ask of NCCL, over the stand-in.</summary>
public sealed class NcclTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(20); // an end that does not come by itself never comes

    [Fact]
    public void An_operation_starts_behind_what_libtorch_was_given_before_it()
    {
        using var nccl = new StandIn();
        var sums = Ranks.Run(nccl, 2, world =>
        {
            using var scope = NewDisposeScope();
            var streams = nccl.Streams(world.Rank);
            var compute = streams.CreateStream();
            nccl.UseStream(compute);
            var buffer = zeros(1_000);
            nccl.FillLater(compute, TensorMemory.Pointer(buffer), 1_000, world.Rank + 1, TimeSpan.FromMilliseconds(50));
            world.AllReduce(buffer);
            nccl.UseStream(0);
            streams.DestroyStream(compute);
            return (buffer.min().item<float>(), buffer.max().item<float>());
        });

        Assert.All(sums, sum => Assert.Equal((3f, 3f), sum));
    }

    [Fact]
    public void Several_operations_are_on_their_way_at_once_and_are_waited_for_in_any_order()
    {
        using var nccl = new StandIn();
        var sums = Ranks.Run(nccl, 3, world =>
        {
            using var scope = NewDisposeScope();
            Tensor[] buffers = [.. Enumerable.Range(0, 20).Select(i => full(1_000 + i, (float)i))];
            NcclOperation[] operations = [.. buffers.Select(buffer => ((NcclCollective)world).Start(RingOperationKind.AllReduce, buffer))];
            foreach (var operation in operations.Reverse()) operation.Wait();
            operations[0].Wait(); // a second wait is none
            return buffers.Select(buffer => buffer.max().item<float>()).ToArray();
        });

        Assert.All(sums, sum => Assert.Equal(Enumerable.Range(0, 20).Select(i => 3f * i), sum));
        Assert.Equal(0, nccl.Disagreements);
    }

    [Fact]
    public void A_call_that_is_slow_to_settle_is_waited_for()
    {
        using var nccl = new StandIn();
        nccl.SettleAfter(TimeSpan.FromMilliseconds(60));

        var sums = Ranks.Run(nccl, 2, world =>
        {
            using var buffer = ones(7);
            world.AllReduce(buffer);
            world.ReduceScatter(buffer);
            world.AllGather(buffer);
            return buffer.data<float>().ToArray();
        });

        Assert.All(sums, sum => Assert.Equal(Enumerable.Repeat(4f, 7), sum));
    }

    [Fact]
    public void A_network_that_fails_ends_the_calls_of_all_ranks_with_NCCLs_words()
    {
        using var nccl = new StandIn();
        nccl.Fail(rank: 1, operation: 2);
        using var begin = new Barrier(3);
        var outcomes = Ranks.Try(nccl, 3, world =>
        {
            using var buffer = ones(1_000);
            world.AllReduce(buffer);
            world.AllReduce(buffer);
            begin.SignalAndWait();
            var clock = Stopwatch.StartNew();
            var message = Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
            Assert.True(clock.Elapsed < Soon, $"took {clock.Elapsed}");
            return message;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.Contains("remote process exited or there was a network error (6)", outcomes[1].Result);
        Assert.All(new[] { 0, 2 }, rank => Assert.Contains("lost the connection to rank", outcomes[rank].Result));
    }

    [Fact]
    public void An_abort_that_comes_while_a_call_is_in_progress_ends_it()
    {
        using var nccl = new StandIn();
        nccl.SettleAfter(TimeSpan.FromMilliseconds(150));
        var outcomes = Ranks.Try(nccl, 2, world =>
        {
            using var buffer = ones(1_000);
            var clock = Stopwatch.StartNew();
            var aborter = new Thread(() => world.Abort("enough")) { IsBackground = true };
            if (world.Rank == 0) aborter.Start();
            var error = Assert.Throws<CollectiveException>(() => world.AllReduce(buffer));
            return (error.Message, clock.Elapsed);
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.Contains("enough", outcomes[0].Result.Message);
        Assert.All(outcomes, outcome => Assert.True(outcome.Result.Elapsed < Soon, $"took {outcome.Result.Elapsed}"));
    }

    [Fact]
    public void No_call_returns_while_an_aborted_kernel_may_still_write()
    {
        using var nccl = new StandIn();
        nccl.AbortTakes(TimeSpan.FromMilliseconds(300));
        var outcomes = Ranks.Try(nccl, 2, world =>
        {
            using var buffer = ones(100_000);
            if (world.Rank == 1) world.Abort("gone");
            Assert.Throws<CollectiveException>(() => world.AllReduce(buffer));
            var left = buffer.clone();
            Thread.Sleep(400); // longer than the abort takes: what would be written late is written now
            return left.eq(buffer).all().item<bool>();
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.All(outcomes, outcome => Assert.True(outcome.Result));
    }

    [Fact]
    public void Nothing_is_left_of_a_collective_that_ended_well_nor_of_one_that_was_aborted()
    {
        using var nccl = new StandIn();
        foreach (var abort in (bool[])[false, true])
        {
            var outcomes = Ranks.Try(nccl, 3, world =>
            {
                using var buffer = ones(10);
                world.AllReduce(buffer);
                if (abort && world.Rank == 1) world.Abort("enough");
                return true;
            });
            Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        }

        Assert.Equal(0, nccl.Alive);
    }

    [Fact]
    public void A_rank_that_says_goodbye_does_not_break_the_operations_it_took_part_in()
    {
        using var nccl = new StandIn();
        using var left = new CountdownEvent(2);
        var outcomes = Ranks.Try(nccl, 3, world =>
        {
            using var buffer = ones(10);
            var operation = ((NcclCollective)world).Start(RingOperationKind.AllReduce, buffer);
            if (world.Rank == 0) left.Wait();
            operation.Wait();
            if (world.Rank != 0)
            {
                world.Dispose();
                left.Signal();
            }
            else Assert.Contains("has left after 1 operations", Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message);
            return buffer.sum().item<float>();
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.All(outcomes, outcome => Assert.Equal(30, outcome.Result));
    }

    [Fact]
    public void Host_memory_goes_over_the_ring_and_a_ring_that_breaks_takes_NCCL_with_it()
    {
        using var nccl = new StandIn { Memory = DeviceType.CUDA };
        var outcomes = Ranks.Try(nccl, 2, world =>
        {
            using var buffer = ones(100_000);
            world.AllReduce(buffer);
            Assert.Equal(2f, buffer.max().item<float>());
            if (world.Rank == 1) return "";
            return Assert.Throws<CollectiveException>(() => world.AllReduce(buffer)).Message;
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.Contains("rank 1", outcomes[0].Result);
        Assert.Equal(0, nccl.Alive);
    }

    [Fact]
    public void Two_ranks_on_one_GPU_are_refused_before_NCCL_hangs()
    {
        using var nccl = new StandIn();
        var endpoints = new[] { nccl.Open("127.0.0.1", 5), nccl.Open("127.0.0.1", 5) };
        var addresses = endpoints.Select(endpoint => endpoint.Address).ToArray();

        var outcomes = Ranks.OnThreads(2, rank =>
            Assert.Throws<CollectiveException>(() => endpoints[rank].Connect(1, rank, addresses, CancellationToken.None)).Message);

        Assert.All(outcomes, outcome => Assert.Contains("ranks 0 and 1 compute on the same GPU (standin:5)", outcome.Result));
    }

    [Fact]
    public void Two_versions_of_NCCL_are_named()
    {
        NcclAddress[] ranks = [new("r", "w", "a", "0", 22809, ""), new("r", "w", "b", "0", 22705, "")];

        Assert.Contains("rank 0 has NCCL 2.28.9, rank 1 has 2.27.5", NcclMeeting.Problem(ranks));
    }

    [Theory]
    [InlineData(1, 2, null)]
    [InlineData(1, null, "rank 1 has no NCCL: it was left at home")]
    [InlineData(1, 1, "ranks 0 and 1 compute on the same GPU")]
    public void Where_NCCL_cannot_join_all_ranks_auto_takes_the_ring_and_notes_why(int? first, int? second, string? why)
    {
        using var nccl = new StandIn();
        var endpoints = new[] { nccl.OpenOrTcp(first), nccl.OpenOrTcp(second) };
        var addresses = endpoints.Select(endpoint => endpoint.Address).ToArray();

        var outcomes = Ranks.OnThreads(2, rank =>
        {
            using var world = endpoints[rank].Connect(1, rank, addresses, CancellationToken.None);
            using var buffer = ones(3);
            world.AllReduce(buffer);
            Assert.True(world.TakesDeviceMemory);
            Assert.Equal(why is null, world is NcclCollective);
            return (Sum: buffer.max().item<float>(), world.Note);
        });

        Assert.All(outcomes, outcome => Assert.Null(outcome.Failure));
        Assert.All(outcomes, outcome => Assert.Equal(2, outcome.Result.Sum));
        Assert.All(outcomes, outcome => Assert.Contains(why ?? "", outcome.Result.Note ?? ""));
        Assert.All(outcomes, outcome => Assert.Equal(why is null, outcome.Result.Note is null));
    }

    [Fact]
    public void A_rank_on_the_CPU_is_told_which_collectives_it_can_have()
    {
        var error = Assert.Throws<InputException>(() => new NcclBackend().Open("127.0.0.1", null));

        Assert.Contains("it computes on the CPU; or write auto or tcp", error.Message);
    }

    [Fact]
    public void A_machine_without_NCCL_says_so()
    {
        Assert.SkipWhen(LibTorch.HasCuda, "this libtorch has CUDA");

        var error = Assert.Throws<InputException>(() => new NcclBackend().Open("127.0.0.1", 0));

        Assert.Contains("this libtorch came without CUDA", error.Message);
    }

    [Fact]
    public void A_library_that_is_no_NCCL_is_refused_by_the_function_it_lacks()
    {
        var error = Assert.Throws<LibTorchException>(() => new NcclLibrary(NativeLibrary.Load("libc.so.6"), "/lib/libc.so.6"));

        Assert.Contains("/lib/libc.so.6: lacks ncclGetVersion", error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("it is not there")]
    public void An_address_reads_back_as_it_was_written(string lack)
    {
        var address = new NcclAddress(
            "tcp://[fd00::7]:29500/k", "tcp://[fd00::7]:29501/k", NcclAddress.ThisHost, "0000:3B:00.0", 22809, lack);

        Assert.Equal(address, NcclAddress.Parse(address.ToString()));
        Assert.Equal(address.ToString().Trim(), address.ToString()); // it travels through files and pipes
        Assert.Contains("same collective", Assert.Throws<CollectiveException>(() => NcclAddress.Parse("loopback://")).Message);
    }
}
