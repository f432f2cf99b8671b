using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>Whose state the next generation goes on from, and who cannot be in it.</summary>
/// <param name="Source">The seat whose state all adopt.</param>
/// <param name="Odd">Seats whose model, data or spec differ from the source's, and what differs.</param>
internal sealed record RestorePlan(int Source, ReportedOffer Offer, IReadOnlyList<(int Seat, string What)> Odd)
{
    /// <summary>
    /// The furthest state is taken, wherever it is kept: what is live is only nearer at hand. The rest decides ties, always alike.
    /// </summary>
    public static RestorePlan Of(IReadOnlyCollection<(int Seat, ReportedOffer Offer)> offers)
    {
        var (source, best) = offers.First();
        foreach (var (seat, offer) in offers)
            if (IsBetter(seat, offer, source, best)) (source, best) = (seat, offer);
        return new(source, best, [.. from other in offers
            where other.Offer.Fingerprint != best.Fingerprint
            select (other.Seat, $"its fingerprint is {Difference(other.Offer.Fingerprint, best.Fingerprint)}")]);
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
