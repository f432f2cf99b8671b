namespace Phi3VCluster.Training.Optim;

/// <summary>
/// The dynamic loss scale of fp16 training, with DeepSpeed's rules and defaults: the loss is multiplied so that small gradients do
/// not vanish; a step whose gradients overflow is skipped, and the second such step in a window halves the scale; a whole window
/// without one doubles it. All ranks see the same steps overflow, so all hold the same scale.
/// </summary>
public sealed class LossScaler
{
    private const double Initial = 65536, Factor = 2, Least = 1;
    private const int Window = 1000, Hysteresis = 2;

    private long _steps, _lastOverflow = -1;
    private int _patience = Hysteresis;

    private LossScaler(double scale, bool isDynamic) => (Scale, IsDynamic) = (scale, isDynamic);

    /// <summary>1 where losses are not scaled.</summary>
    public double Scale { get; private set; }

    public bool IsDynamic { get; }

    /// <summary>The scale cannot be lowered: what overflows now is no matter of scale.</summary>
    public bool IsExhausted => Scale <= Least && _patience == 1;

    /// <summary>For fp16: from 2^16 on.</summary>
    public static LossScaler Dynamic() => new(Initial, isDynamic: true);

    /// <summary>For types whose range is float32's.</summary>
    public static LossScaler None() => new(1, isDynamic: false);

    /// <summary>All that decides its future.</summary>
    public LossScale State
    {
        get => new(Scale, _steps, _lastOverflow, _patience);
        set => (Scale, _steps, _lastOverflow, _patience) = (value.Scale, value.Steps, value.LastOverflow, value.Patience);
    }

    /// <summary>Counts a step.</summary>
    /// <param name="overflowed">Whether a gradient of it was not finite, on any rank.</param>
    public void Update(bool overflowed)
    {
        if (!IsDynamic) return;
        if (overflowed)
        {
            if (_patience == 1) Scale = Math.Max(Scale / Factor, Least);
            else _patience--;
            _lastOverflow = _steps;
        }
        else if ((_steps - _lastOverflow) % Window == 0)
        {
            _patience = Hysteresis;
            Scale *= Factor;
        }
        _steps++;
    }
}

/// <summary>A <see cref="LossScaler"/>'s state.</summary>
/// <param name="Scale">What losses are multiplied by.</param>
/// <param name="Steps">Steps counted.</param>
/// <param name="LastOverflow">The step of the last overflow; -1 before the first.</param>
/// <param name="Patience">Overflows until the scale is halved.</param>
public readonly record struct LossScale(double Scale, long Steps, long LastOverflow, int Patience);
