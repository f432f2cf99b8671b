using System.Globalization;

namespace Phi3VCluster.Bench.Chaos;

/// <summary>How far a hurt run's losses are from another run's, and since when.</summary>
/// <param name="Largest">Of all steps.</param>
/// <param name="FirstStep">The first whose losses differ by more than what is allowed; null: there is none.</param>
/// <param name="Generation">That step's, in the hurt run.</param>
/// <param name="Fault">The last before that step.</param>
internal sealed record ChaosDifference(double Largest, long? FirstStep, long? Generation, string? Fault)
{
    /// <param name="hurt">By step, from 1: loss and generation.</param>
    /// <param name="other">Losses of as many steps, or more.</param>
    public static ChaosDifference Of(
        IReadOnlyList<(double Loss, long Generation)> hurt, IReadOnlyList<double> other, double allowed, IReadOnlyList<ChaosFault> faults)
    {
        List<double> apart = [.. hurt.Zip(other, (one, loss) => Math.Abs(one.Loss - loss))];
        var first = apart.FindIndex(difference => !(difference <= allowed)); // what is no number differs, too
        if (first < 0) return new(apart.Max(), null, null, null);
        var before = faults.LastOrDefault(fault => fault.Step <= first);
        return new(apart.Max(), first + 1, hurt[first].Generation, before is null ? null : $"{before.Kind} of {before.Node}");
    }

    /// <param name="beyond">What the first step is the first of.</param>
    public string Words(string beyond)
    {
        if (Largest == 0 && FirstStep is null) return "none in any bit";
        var most = string.Create(CultureInfo.InvariantCulture, $"at most {Largest:G3}");
        if (FirstStep is null) return most;
        var before = Fault is null ? "before any fault" : $"after {Fault}";
        return $"{most}, {beyond} first at step {FirstStep} of generation {Generation}, {before}";
    }
}
