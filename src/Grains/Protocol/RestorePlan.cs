using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>Whose state the next generation goes on from, and who cannot be in it.</summary>
/// <param name="Source">The seat whose state all adopt, unless it is in parts.</param>
/// <param name="Shards">Which seats have the parts of the state that all adopt; null where one seat has it whole.</param>
/// <param name="Position">Of that state.</param>
/// <param name="Odd">Seats whose model, data or spec differ from the source's, and what differs.</param>
internal sealed record RestorePlan(
    int Source, ReportedOffer Offer, ShardSources? Shards, Position Position, IReadOnlyList<(int Seat, string What)> Odd)
{
    /// <summary>
    /// The furthest state is taken, wherever it is kept: what is live is only nearer at hand. The rest decides ties, always alike.
    /// </summary>
    /// <param name="offers">Of the seats that the generation is made of.</param>
    /// <param name="givers">Of all seats that can give parts of a state, those that leave too.</param>
    public static RestorePlan Of(
        IReadOnlyCollection<(int Seat, ReportedOffer Offer)> offers, IReadOnlyCollection<(int Seat, ReportedOffer Offer)> givers)
    {
        var (source, best) = offers.First();
        foreach (var (seat, offer) in offers)
            if (IsBetter(seat, offer, source, best)) (source, best) = (seat, offer);
        var position = Position.Of(best);
        var shards = Newest([.. givers.Select(giver => giver.Offer).Where(offer => offer.Fingerprint == best.Fingerprint)]);
        if (shards is { } found && found.Position.CompareTo(position) >= 0) position = found.Position;
        else shards = null;
        return new(source, best, shards?.Sources, position, [.. from other in offers
            where other.Offer.Fingerprint != best.Fingerprint
            select (other.Seat, $"its fingerprint is {Difference(other.Offer.Fingerprint, best.Fingerprint)}")]);
    }

    /// <summary>The newest version whose every part somebody holds. Of one step, that of the later generation was held last.</summary>
    private static (ShardSources Sources, Position Position)? Newest(IReadOnlyCollection<ReportedOffer> offers)
    {
        var versions =
            from offer in offers
            from held in offer.Held ?? []
            group (offer.Courier, Held: held) by (held.Step, held.Generation) into version
            let words = version.Where(one => one.Held.Stage is not null).MaxBy(one => one.Held.Stage)
            where words.Held is not null
                && version.SelectMany(one => one.Held.Ranks).Distinct().Count() == words.Held.WorldSize
            orderby version.Key descending
            select (Parts: version, Words: words);
        if (versions.FirstOrDefault() is not { Parts: { } parts, Words: var (courier, known) }) return null;
        return (new(known.Generation, known.Step, known.WorldSize, courier,
                [.. parts.SelectMany(one => one.Held.Ranks.Select(rank => new ShardSource(rank, one.Courier)))]),
            new(known.Step, known.Stage!.Value));
    }

    private static bool IsBetter(int seat, ReportedOffer offer, int than, ReportedOffer best)
    {
        var position = Position.Of(offer).CompareTo(Position.Of(best));
        if (position != 0) return position > 0;
        if (offer.IsLive != best.IsLive) return offer.IsLive;
        return offer.Generation != best.Generation ? offer.Generation > best.Generation : seat < than;
    }

    /// <summary>Of fingerprints that are words, only the words that differ.</summary>
    private static string Difference(string own, string others)
    {
        var (a, b) = (own.Split(' '), others.Split(' '));
        if (a.Length != b.Length) return $"{own}, that of the others {others}";
        var differ = Enumerable.Range(0, a.Length).Where(i => a[i] != b[i]).ToList();
        return $"{string.Join(' ', differ.Select(i => a[i]))}, that of the others {string.Join(' ', differ.Select(i => b[i]))}";
    }
}
