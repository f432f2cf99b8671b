using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Snapshots;
using Phi3VCluster.Training.Tests.Collectives;

namespace Phi3VCluster.Training.Tests.Snapshots;

public sealed class CourierTests
{
    private const long Many = 1_000_000; // several chunks of a connection's buffer

    private static readonly StateVersion Fifth = new(2, 5), Sixth = new(2, 6);

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void A_snapshot_is_with_the_buddy_when_it_is_said_to_be()
    {
        using Seat own = new(), buddy = new();
        own.Hold(Fifth, rank: 0, elements: Many, seed: 1);
        own.Courier.Send(buddy.Courier.Address, Fifth, rank: 0, worldSize: 2);

        Until(() => own.Courier.Stored == Fifth);

        var held = Assert.Single(buddy.Book.Held);
        Assert.Equal((Fifth, null, 2), (held.Version, held.Stage, held.WorldSize));
        Assert.Equal([0], held.Ranks);
        Same(buddy.Book, Fifth, rank: 0, Many, seed: 1);
    }

    [Fact]
    public void Between_machines_it_goes_encrypted_to_those_with_a_certificate()
    {
        RingChannels Far(IPeerTls? tls) => new("127.0.0.1", tls, isLocalToo: false);
        using Seat own = new(Far(TestCertificates.Ours.Silo("own"))), buddy = new(Far(TestCertificates.Ours.Silo("buddy")));
        own.Hold(Fifth, rank: 0, elements: Many, seed: 1);
        own.Courier.Send(buddy.Courier.Address, Fifth, rank: 0, worldSize: 2);

        Until(() => own.Courier.Stored == Fifth);
        Same(buddy.Book, Fifth, rank: 0, Many, seed: 1);

        using RingChannels plain = Far(null), foreign = Far(TestCertificates.Others.Silo("foreign"));
        Assert.Contains("asks for TLS", Assert.Throws<IOException>(() => plain.Connect(buddy.Courier.Address, Stop)).Message);
        Assert.Throws<IOException>(() => foreign.Connect(buddy.Courier.Address, Stop));
    }

    [Fact]
    public void Whoever_asks_gets_any_range_and_what_goes_with_it()
    {
        using Seat holder = new(), asks = new();
        holder.Hold(Fifth, rank: 1, elements: Many, seed: 3);
        holder.Book.Describe(Fifth, 2, new(1, "scalars", () => "history"));

        using var conversation = asks.Courier.Ask(holder.Courier.Address, Stop);
        using var range = new ShardMemory(400_000);
        conversation.Get(Fifth, rank: 1, offset: 300_000, range);

        for (var part = 0; part < ShardMemory.Parts; part++)
            Assert.Equal(Values(3, part, 300_000, 400_000), MemoryMarshal.Cast<byte, float>(range.Of(part, 0, 400_000)));
        var metadata = conversation.Metadata(Fifth);
        Assert.Equal((1, "scalars", "history"), (metadata.Stage, metadata.Scalars, metadata.History()));
    }

    [Fact]
    public void What_is_not_held_is_refused_and_the_conversation_goes_on()
    {
        using Seat holder = new(), asks = new();
        holder.Hold(Fifth, rank: 1, elements: 8, seed: 3);
        using var conversation = asks.Courier.Ask(holder.Courier.Address, Stop);
        using var memory = new ShardMemory(8);

        var refused = Assert.Throws<IOException>(() => conversation.Get(Sixth, 1, 0, memory));
        Assert.Contains("does not hold step 6 of generation 2", refused.Message);
        Assert.Throws<IOException>(() => conversation.Get(Fifth, 0, 0, memory));
        Assert.Throws<IOException>(() => conversation.Get(Fifth, 1, 1, memory)); // one element too many
        Assert.Throws<IOException>(() => conversation.Metadata(Fifth));
        conversation.Get(Fifth, 1, 0, memory);
    }

    [Fact]
    public void A_buddy_of_a_later_generation_takes_nothing_of_an_earlier_one()
    {
        using Seat own = new(), buddy = new();
        buddy.Book.OldestGeneration = 3;
        own.Hold(Fifth, rank: 0, elements: 8, seed: 1);
        own.Hold(new(3, 1), rank: 0, elements: 8, seed: 1);

        own.Courier.Send(buddy.Courier.Address, Fifth, rank: 0, worldSize: 2);
        own.Courier.Send(buddy.Courier.Address, new(3, 1), rank: 0, worldSize: 2); // after the first

        Until(() => own.Courier.Stored == new StateVersion(3, 1));
        Assert.Equal(new(3, 1), Assert.Single(buddy.Book.Held).Version);
    }

    [Fact]
    public void A_snapshot_is_brought_when_a_buddy_that_was_away_is_there()
    {
        var place = new FlakyEnd();
        using Seat own = new(place), buddy = new();
        own.Hold(Fifth, rank: 0, elements: Many, seed: 1);
        place.BreaksAfter = 2_000_000; // bytes: within the part

        own.Courier.Send(buddy.Courier.Address, Fifth, rank: 0, worldSize: 2);

        Until(() => own.Courier.Stored == Fifth);
        Assert.True(place.Broke);
        Same(buddy.Book, Fifth, rank: 0, Many, seed: 1);
    }

    [Fact]
    public void Half_a_snapshot_is_nothing()
    {
        using Seat buddy = new();
        using (var end = new RingChannels("127.0.0.1"))
        using (var channel = end.Connect(buddy.Courier.Address, Stop))
        {
            CourierMessage.Of(CourierVerb.Put, Fifth, 0, 2, 0, Many).Send(channel, Stop);
            channel.Send(new byte[Many], Stop);
        }
        using var asks = new Seat();
        using var conversation = asks.Courier.Ask(buddy.Courier.Address, Stop); // it answers still
        Assert.Throws<IOException>(() => conversation.Metadata(Fifth));
        Assert.Empty(buddy.Book.Held);
    }

    [Fact]
    public void Whoever_does_not_know_the_key_is_not_served()
    {
        using Seat holder = new();
        var address = RingAddress.Parse(holder.Courier.Address);
        using var end = new RingChannels("127.0.0.1");
        var other = address with { Key = Guid.NewGuid() };

        Assert.Contains("another run's rank", Assert.Throws<IOException>(() => end.Connect(other.ToString(), Stop)).Message);

        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(new IPEndPoint(IPAddress.Loopback, address.Port));
        socket.Send(new byte[100]);
        using var asks = new Seat();
        asks.Courier.Ask(holder.Courier.Address, Stop).Dispose(); // others are
    }

    [Fact]
    public void Memory_of_what_is_dropped_is_used_again()
    {
        using var book = new SnapshotBook();
        var first = book.Rent(64);
        book.Keep(Fifth, 0, 2, first);
        book.Restored(from: null);

        Assert.Same(first, book.Rent(64));
        Assert.Empty(book.Held);
    }

    [Fact]
    public void What_counted_last_stays_until_something_counts_after_what_the_run_went_on_from()
    {
        using var book = new SnapshotBook();
        foreach (var step in (int[])[6, 8, 9]) book.Keep(new(1, step), 0, 2, book.Rent(4));

        book.Restored(from: new(1, 8)); // a part of which may be with one seat alone
        book.Keep(new(2, 8), 0, 2, book.Rent(4));
        Assert.Equal([new(1, 6), new(1, 8), new(2, 8)], book.Held.Select(held => held.Version));

        book.Counted(new(2, 8));
        Assert.Equal(new(2, 8), Assert.Single(book.Held).Version);
    }

    private static void Until(Func<bool> holds) =>
        Assert.True(SpinWait.SpinUntil(holds, TimeSpan.FromSeconds(60)), "never happened");

    private static void Same(SnapshotBook book, StateVersion version, int rank, long elements, int seed)
    {
        var bytes = new byte[elements * sizeof(float)];
        for (var part = 0; part < ShardMemory.Parts; part++)
        {
            Assert.True(book.TryCopy(version, rank, part, 0, bytes));
            Assert.Equal(Values(seed, part, 0, elements), MemoryMarshal.Cast<byte, float>(bytes));
        }
    }

    private static float[] Values(int seed, int part, long offset, long count) =>
        [.. Enumerable.Range((int)offset, (int)count).Select(i => (float)((i * 3) + part + (seed * 0.25)))];

    private sealed class Seat : IDisposable
    {
        public Seat(IPeerEndpoint? end = null) => Courier = new(end ?? new RingChannels("127.0.0.1"), Book, Many);

        public SnapshotBook Book { get; } = new();

        public SnapshotCourier Courier { get; }

        public void Hold(StateVersion version, int rank, long elements, int seed)
        {
            var memory = Book.Rent(elements);
            for (var part = 0; part < ShardMemory.Parts; part++)
                Values(seed, part, 0, elements).CopyTo(MemoryMarshal.Cast<byte, float>(memory.Of(part, 0, (int)elements)));
            Book.Keep(version, rank, 2, memory);
        }

        public void Dispose()
        {
            Courier.Dispose();
            Book.Dispose();
        }
    }

    /// <summary>An end whose first connection breaks.</summary>
    private sealed class FlakyEnd : IPeerEndpoint
    {
        private readonly RingChannels _end = new("127.0.0.1");

        public long BreaksAfter { get; set; } = long.MaxValue;

        public bool Broke { get; private set; }

        public string Address => _end.Address;

        public IPeerChannel Accept(CancellationToken stop) => _end.Accept(stop);

        public IPeerChannel Connect(string address, CancellationToken stop) => new Channel(this, _end.Connect(address, stop));

        public void Dispose() => _end.Dispose();

        private sealed class Channel(FlakyEnd end, IPeerChannel channel) : IPeerChannel
        {
            public void Send(ReadOnlySpan<byte> data, CancellationToken stop)
            {
                end.BreaksAfter -= data.Length;
                if (end.BreaksAfter < 0 && !end.Broke)
                {
                    end.Broke = true;
                    channel.Dispose();
                    throw new IOException("broken by the test");
                }
                channel.Send(data, stop);
            }

            public void Receive(Span<byte> data, CancellationToken stop) => channel.Receive(data, stop);

            public void Dispose() => channel.Dispose();
        }
    }
}
