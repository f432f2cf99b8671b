using Phi3VCluster.Grains.Interfaces;

namespace Phi3VCluster.Grains.Protocol;

/// <summary>A seat that the run has and has not given up.</summary>
/// <param name="IsSilent">Its generation went on without it, for it did not answer; it is not waited for until it parks.</param>
internal sealed record Seat(int Number, string Node, string Silo, bool IsSilent = false)
{
    public override string ToString() => $"seat {Number} ({Node})";
}

/// <summary>A rank of the generation.</summary>
/// <param name="Address">As it offered it; whoever offers another now cannot take part any more.</param>
internal sealed record Member(int Seat, string Address);

/// <summary>How far a run is: what comes next, after so many steps.</summary>
internal readonly record struct Position(long Step, ReportedStage Stage) : IComparable<Position>
{
    public int CompareTo(Position other) => (Step, (int)Stage).CompareTo((other.Step, (int)other.Stage));

    public static Position Of(ReportedOffer offer) => new(offer.Step, offer.Stage);
}

/// <summary>A seat that the run goes on without for a while, for its connections are bad.</summary>
/// <param name="Times">How often by now.</param>
internal sealed record LeftOut(DateTimeOffset Until, int Times, string Edge);
