using System.Diagnostics.Metrics;

namespace Phi3VCluster.Training.Engine;

/// <summary>
/// A meter that is made anew from time to time. The exporter keeps a place for every set of labels that a metric ever had, 2,000 at most,
/// and then counts what is new under no label at all; a silo that lives for weeks would get there by its runs' names. With a new meter it
/// begins anew, and nothing is lost where values are read and not recorded.
/// </summary>
/// <param name="fill">Adds the metrics.</param>
/// <param name="most">Renewed after so many owners of labels: each may have up to 2,000 / most sets.</param>
public sealed class RenewedMeter(Action<Meter> fill, int most)
{
    private readonly Lock _gate = new();
    private Meter? _meter;
    private int _owners;

    /// <summary>Something with label values of its own will be read from now on.</summary>
    public void AddOwner()
    {
        lock (_gate)
        {
            if (_meter is not null && ++_owners <= most) return;
            _meter?.Dispose();
            _owners = 1;
            fill(_meter = new Meter(MetricDefinition.MeterName));
        }
    }
}
