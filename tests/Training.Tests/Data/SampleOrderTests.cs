using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Tests.Data;

public sealed class SampleOrderTests
{
    [Fact]
    public void An_epochs_batches_hold_every_sample_once_and_the_last_is_smaller()
    {
        var order = new SampleOrder(sampleCount: 103, globalBatch: 16, seed: 5, shuffle: true);

        var batches = Enumerable.Range(0, order.StepsPerEpoch).Select(step => order.GlobalBatch(3, step)).ToList();

        Assert.Equal([16, 16, 16, 16, 16, 16, 7], batches.Select(batch => batch.Count));
        Assert.Equal(Enumerable.Range(0, 103), batches.SelectMany(batch => batch).Order());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    public void Any_number_of_ranks_shares_out_the_same_batch(int worldSize)
    {
        var batch = new SampleOrder(50, 7, seed: 1, shuffle: true).GlobalBatch(0, 2);

        var shares = Enumerable.Range(0, worldSize).Select(rank => SampleOrder.ShareOf(batch, rank, worldSize)).ToList();

        Assert.Equal(batch.Order(), shares.SelectMany(share => share).Order());
        Assert.True(shares.Max(share => share.Count) - shares.Min(share => share.Count) <= 1);
        Assert.Equal(batch[worldSize == 1 ? 1 : 0], shares[0].ElementAt(worldSize == 1 ? 1 : 0));
    }

    [Fact]
    public void However_often_the_world_changes_an_epoch_takes_every_sample_once_and_in_one_global_order()
    {
        for (var trial = 0; trial < 200; trial++)
        {
            var random = new SplitMix64((ulong)trial);
            var (samples, batch, epoch, seed) = (1 + random.Below(300), 1 + random.Below(40), random.Below(5), random.Below(1000));
            var order = new SampleOrder(samples, batch, seed, shuffle: random.Below(4) > 0);
            var taken = new List<int>();
            var worldSize = 1 + random.Below(8);
            for (var step = 0; step < order.StepsPerEpoch; step++)
            {
                if (random.Below(4) == 0)
                {
                    // Ranks come and go, and all of them are new processes that know nothing of the steps before.
                    worldSize = 1 + random.Below(8);
                    order = new SampleOrder(samples, batch, seed, order.Shuffles);
                }
                var shares = Enumerable.Range(0, worldSize)
                    .Select(rank => SampleOrder.ShareOf(order.GlobalBatch(epoch, step), rank, worldSize)).ToList();
                taken.AddRange(Enumerable.Range(0, shares.Sum(share => share.Count))
                    .Select(place => shares[place % worldSize][place / worldSize]));
            }
            Assert.Equal(Enumerable.Range(0, samples), taken.Order());
            Assert.Equal(new SampleOrder(samples, samples, seed, order.Shuffles).Of(epoch), taken);
        }
    }

    [Fact]
    public void The_order_is_a_function_of_seed_and_epoch_alone()
    {
        SampleOrder One(int seed) => new(40, 8, seed, shuffle: true);

        var late = One(9);
        _ = late.Of(0);
        Assert.Equal(One(9).Of(4), late.Of(4));
        Assert.NotEqual(One(9).Of(4), One(9).Of(5));
        Assert.NotEqual(One(9).Of(4), One(10).Of(4));
        Assert.Equal(Enumerable.Range(0, 40), new SampleOrder(40, 8, 9, shuffle: false).Of(2));
    }

    [Fact]
    public void The_generator_gives_the_published_numbers()
    {
        // The reference values of SplitMix64 for seed 1234567.
        var random = new SplitMix64(1234567);
        var drawn = new[] { random.Next(), random.Next(), random.Next() };
        Assert.Equal([6457827717110365317, 3203168211198807973, 9817491932198370423], drawn);
    }

    [Fact]
    public void The_order_of_a_run_never_changes_from_release_to_release() =>
        // Computed apart, in Python: a run that goes on under a newer release must not meet a sample twice.
        Assert.Equal([6, 0, 3, 5, 8, 1, 9, 2, 7, 4], new SampleOrder(10, 10, seed: 42, shuffle: true).Of(0));

    [Fact]
    public void Shuffled_turns_keep_answers_with_questions_and_the_image_in_front()
    {
        var picture = new NoImage();
        var sample = new Sample("s", [new([picture], "q0", ["a0"]), new([], "q1", ["a1"]), new([], "q2", ["a2"])]);

        var orders = Enumerable.Range(0, 30).Select(epoch => TurnOrder.Shuffle(sample, seed: 3, epoch)).ToList();

        Assert.All(orders, one => Assert.Same(picture, one.Turns[0].Images.Single()));
        Assert.All(orders, one => Assert.Empty(one.Turns.Skip(1).SelectMany(turn => turn.Images)));
        Assert.All(orders.SelectMany(one => one.Turns), turn => Assert.Equal(turn.User[1], turn.Answers.Single()[1]));
        Assert.Equal(6, orders.Select(one => string.Concat(one.Turns.Select(turn => turn.User))).Distinct().Count());
        Assert.Equal(orders[7].Turns.Select(t => t.User), TurnOrder.Shuffle(sample, 3, 7).Turns.Select(t => t.User));
    }

    [Fact]
    public void Turns_with_images_of_their_own_stay_in_order()
    {
        var sample = new Sample("s", [new([new NoImage()], "q0", ["a"]), new([new NoImage()], "q1", ["a"])]);

        Assert.All(Enumerable.Range(0, 10), epoch => Assert.Same(sample, TurnOrder.Shuffle(sample, 1, epoch)));
    }

    [Fact]
    public void Tags_in_front_of_the_first_question_stay_in_front_and_tags_elsewhere_keep_the_order()
    {
        Sample Of(string first) => new("s", [new([new NoImage()], first, ["a0"]), new([], "q1", ["a1"])]);

        var orders = Enumerable.Range(0, 10).Select(epoch => TurnOrder.Shuffle(Of("<|image_1|>\nq0"), seed: 1, epoch)).ToList();

        Assert.Equal(["q0q1", "q1q0"], orders.Select(one => string.Concat(one.Turns.Select(turn => turn.User))).Distinct().Order());
        Assert.All(orders, one => Assert.Single(one.Turns[0].Images));
        Assert.All(Enumerable.Range(0, 10), epoch => Assert.Equal(
            "Is <|image_1|> blue?", TurnOrder.Shuffle(Of("Is <|image_1|> blue?"), 1, epoch).Turns[0].User));
    }

    private sealed class NoImage : IImageSource
    {
        public string Description => "none";
        public byte[] Read() => [];
    }
}
