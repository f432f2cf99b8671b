using System.Net;
using System.Net.Sockets;
using Phi3VCluster.Training.Engine;

namespace Phi3VCluster.Grains.Tests.Cluster;

/// <summary>
/// What the control plane relies on in a node's seats. The test fake and the real ones pass the same tests: a fake that is kinder than
/// the truth proves nothing.
/// </summary>
public abstract class RankWorkersContract
{
    private static readonly SeatId Id = new("run", 0);

    /// <summary>The address of a peer that takes calls and never answers.</summary>
    private static readonly string Deaf = $"tcp://127.0.0.1:{Listen()}/{Guid.NewGuid():N}";

    private protected abstract IRankWorkers Workers { get; }

    private protected abstract SeatOrder Order();

    /// <summary>What this machine cannot carry.</summary>
    private protected abstract SeatOrder BadOrder();

    [Fact]
    public async Task A_seat_that_is_taken_loads_and_parks_with_an_offer_and_holds_its_place()
    {
        var reports = 0;
        Workers.ReportSoon += () => Interlocked.Increment(ref reports);

        Assert.True(Workers.Take(Id, 1, Order()));

        Assert.Equal([Id], Workers.Occupied());
        var seat = await ParkedAsync();
        Assert.Equal((Id, 0, -1, FaultKind.None), (seat.Id, seat.Generation, seat.Rank, seat.Fault));
        Assert.Equal((0, 0, false), (seat.Offer!.Generation, seat.Offer.Step, seat.Offer.IsLive));
        Assert.NotEqual("", seat.Offer.Address);
        Assert.NotEqual(0, reports);
    }

    [Fact]
    public async Task Taken_again_it_stays_as_it_is()
    {
        Workers.Take(Id, 1, Order());
        var seat = await ParkedAsync();

        Assert.True(Workers.Take(Id, 2, Order()));

        Assert.Equal(seat.Offer, Assert.Single(Workers.Progress()).Offer);
    }

    [Fact]
    public async Task What_the_machine_cannot_carry_fails_and_holds_nothing()
    {
        Workers.Take(Id, 1, BadOrder());

        var seat = await SeeAsync("it fails", s => s.Phase == RankPhase.Failed);

        Assert.NotEqual("", seat.Error);
        Assert.NotEqual(FaultKind.Echo, seat.Fault);
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
        Assert.False(Join("tcp://nobody"));
        Assert.False(Workers.Take(Id, 9, Order()));
    }

    [Fact]
    public void Nobody_joins_parts_breaks_or_leaves_who_was_not_taken()
    {
        Assert.False(Join("tcp://nobody"));
        Assert.False(Workers.Part(Id, 1, 1));
        Assert.False(Workers.Break(Id, 1, 1, "no more"));
        Assert.False(Workers.Leave(Id, 1, "no more"));
        Assert.Empty(Workers.Progress());
    }

    [Fact]
    public async Task A_parked_seat_joins_once_however_often_it_is_told_to()
    {
        Workers.Take(Id, 1, Order());
        var address = (await ParkedAsync()).Offer!.Address;

        Assert.True(Join(address));
        Assert.True(Join(address));

        var seat = Assert.Single(Workers.Progress());
        Assert.Equal((1, 0), (seat.Generation, seat.Rank));
        Assert.NotEqual(RankPhase.Parked, seat.Phase);
    }

    [Fact]
    public async Task A_seat_that_breaks_off_parks_with_another_address_and_the_first_is_used_up()
    {
        var address = await JoinedAsync();

        Assert.False(Workers.Break(Id, 3, 2, "of another generation"));
        Assert.True(Workers.Break(Id, 3, 1, "no more"));

        var seat = await ParkedAsync();
        Assert.Equal((1, FaultKind.None), (seat.Generation, seat.Fault));
        Assert.NotEqual(address, seat.Offer!.Address);
        Assert.False(Join(address, version: 4, generation: 2));
        Assert.True(Join(seat.Offer.Address, version: 4, generation: 2));
    }

    [Fact]
    public async Task A_seat_joins_no_generation_that_is_over()
    {
        await JoinedAsync();
        Workers.Break(Id, 3, 1, "no more");
        var address = (await ParkedAsync()).Offer!.Address;

        Assert.False(Join(address, version: 4, generation: 1));
        Assert.False(Workers.Part(Id, 4, 1));
    }

    [Fact]
    public async Task A_boundary_is_asked_of_the_generation_that_the_seat_is_in()
    {
        await JoinedAsync();

        Assert.True(Workers.Part(Id, 3, 1));
        Assert.False(Workers.Part(Id, 3, 2));
    }

    [Fact]
    public async Task Orders_of_a_version_that_is_over_are_refused()
    {
        Workers.Take(Id, 5, Order());
        var address = (await ParkedAsync()).Offer!.Address;

        Assert.False(Workers.Take(Id, 4, Order()));
        Assert.False(Join(address, version: 4));
        Assert.False(Workers.Leave(Id, 4, "no more"));
        Assert.True(Join(address, version: 5));
        Assert.False(Workers.Part(Id, 4, 1));
        Assert.False(Workers.Break(Id, 4, 1, "no more"));
    }

    [Fact]
    public async Task An_order_that_came_to_nothing_shows_its_version_all_the_same()
    {
        Workers.Take(Id, 1, Order());
        var address = (await ParkedAsync()).Offer!.Address;

        Assert.False(Workers.Break(Id, 3, 1, "the generation is over before it heard of it"));

        Assert.False(Join(address, version: 2));
    }

    [Fact]
    public async Task A_seat_that_leaves_stops_with_the_reason_and_gives_its_place_back_for_good()
    {
        Workers.Take(Id, 1, Order());
        await ParkedAsync();

        Assert.True(Workers.Leave(Id, 2, "no more"));

        await SeeAsync("it stops", seat => seat is { Phase: RankPhase.Stopped, Error: "no more" });
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
        Assert.False(Workers.Take(Id, 3, Order()));
        Workers.Forget(Id);
        Assert.Empty(Workers.Progress());
        Assert.False(Workers.Take(Id, 4, Order()));
    }

    [Fact]
    public async Task Only_a_parked_seat_keeps_what_it_has()
    {
        Assert.False(Workers.Keep(Id, 1));
        Workers.Take(Id, 1, Order());
        var address = (await ParkedAsync()).Offer!.Address;

        Assert.True(Workers.Keep(Id, 2));
        Assert.True(Workers.Keep(Id, 2));
        Assert.False(Workers.Keep(Id, 1));

        Assert.Equal(address, (await ParkedAsync()).Offer!.Address);
        Assert.True(Join(address, version: 3));
        Assert.False(Workers.Keep(Id, 3));
    }

    [Fact]
    public async Task A_seat_leaves_whatever_it_does()
    {
        await JoinedAsync();

        Workers.Leave(Id, 3, "no more");

        await SeeAsync("it stops", seat => seat is { Phase: RankPhase.Stopped, Error: "no more" });
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
    }

    [Fact]
    public async Task A_seat_that_is_forgotten_ends()
    {
        await JoinedAsync();

        Workers.Forget(Id);

        Assert.Empty(Workers.Progress());
        await Eventually.SeeAsync("it leaves its place", () => Workers.Occupied().Count == 0);
        Assert.False(Workers.Take(Id, 3, Order()));
    }

    private bool Join(string own, long version = 2, long generation = 1) =>
        Workers.Join(Id, version, new(generation, Rank: 0, [own, Deaf], Source: 0));

    private static int Listen()
    {
        var listener = new TcpListener(IPAddress.Loopback, 0); // as long as the process lives
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private async Task<string> JoinedAsync()
    {
        Workers.Take(Id, 1, Order());
        var address = (await ParkedAsync()).Offer!.Address;
        Assert.True(Join(address));
        return address;
    }

    private Task<RankProgress> ParkedAsync() => SeeAsync("it parks", seat => seat is { Phase: RankPhase.Parked, Offer: not null });

    private async Task<RankProgress> SeeAsync(string what, Func<RankProgress, bool> good) =>
        (await Eventually.SeeAsync(what, () => Task.FromResult(Workers.Progress()), seats => seats is [var seat] && good(seat)))[0];
}

public sealed class FakeWorkersTests : RankWorkersContract
{
    private readonly FakeWorkers _workers = new(1);

    private protected override IRankWorkers Workers => _workers;

    private protected override SeatOrder Order() => new("{}", "tcp", "/output");

    private protected override SeatOrder BadOrder()
    {
        _workers.Problem = "model.path: no such folder.";
        return Order();
    }
}
