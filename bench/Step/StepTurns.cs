using System.Diagnostics;

namespace Phi3VCluster.Bench.Step;

/// <summary>Contenders that take a step each in turns, so that a slow minute of the machine hits every one of them.</summary>
internal sealed class StepTurns : IDisposable
{
    private readonly List<StepProcess> _contenders = [];

    public StepProcess Add(string name, ProcessStartInfo start)
    {
        var contender = new StepProcess(name, start);
        _contenders.Add(contender);
        return contender;
    }

    public void Take(int steps)
    {
        for (var step = 0; step < steps; step++) _contenders.ForEach(contender => contender.TakeStep());
    }

    public void Dispose() => _contenders.ForEach(contender => contender.Dispose());
}
