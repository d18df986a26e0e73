"""Formulas as books, lectures and papers write them, and how each is read (in the form of `claims_compact`).

The readings were compared with the formulas by eye, one by one.
"""

READ = [
    (
        r"\frac{\partial L}{\partial W^{(2)}} = \delta^{(2)} (a^{(1)})^\top",
        r"frac(«\partial L»; «\partial W^{(2)}») = «\delta^{(2)} (a^{(1)})^{\top}»",
    ),
    (r"\delta_j = \sigma'(z_j)\sum_k w_{jk}\delta_k", r"\delta_{j} = «\sigma' (z_{j}) sum[k](«w_{«j k»} \delta_{k}»)»"),
    ("dZ^{[1]} = W^{[2]T} dZ^{[2]} * g'(Z^{[1]})", "«d Z^{[1]}» = «W^{«[2] T»} d Z^{[2]} * g' (Z^{[1]})»"),
    (r"\mathrm{diag}(p) - pp^\top", r"sum(+«diag.mathrm (p)» -«p p^{\top}»)"),
    (r"\text{New } W_5 = -\lambda \frac{dE_T}{dW_5}", r'«"New " W_{5}» = sum(-«\lambda frac(«d E_{T}»; «d W_{5}»)»)'),
    (
        r"W \leftarrow W - \eta\frac{\partial L}{\partial W} - \lambda |W|",
        r"W <- sum(+W -«\eta frac(«\partial L»; «\partial W»)» -«\lambda |W|»)",
    ),
    (
        r"\mathcal L_i = -\sum_k y_k\log\sigma(l_k) + (1-y_k)\log(1-\sigma(l_k))",
        r"L.mathcal_{i} = sum(-sum[k](«y_{k} log \sigma (l_{k})») +«(sum(+1 -y_{k})) log (sum(+1 -«\sigma (l_{k})»))»)",
    ),
    (r"\delta_k = W_k^T\delta_{k+1}\odot g'(a_k)", r"\delta_{k} = «W_{k}^{T} \delta_{sum(+k +1)} odot g' (a_{k})»"),
    (r"\frac{d\sigma}{dx} = (1-\sigma)\sigma", r"frac(«d \sigma»; «d x») = «(sum(+1 -\sigma)) \sigma»"),
    (
        r"d\tilde c = dc\,\Gamma_u + \Gamma_o(1-\tanh^2 c)\, i_t\, da\,\tilde c\,(1-\tanh(\tilde c)^2)",
        r"«d c~tilde» = sum(+«d c \Gamma_{u}» +«\Gamma_{o} (sum(+1 -«tanh^{2} c»)) i_{t} d a c~tilde (sum(+1 "
        "-«tanh (c~tilde)^{2}»))»)",
    ),
    (
        r"d\sigma^2 = -\tfrac12\sum dy\,(x-\mu)\,r^3",
        r"«d \sigma^{2}» = sum(-«frac(1; 2) sum[](«d y (sum(+x -\mu)) r^{3}»)»)",
    ),
    (
        r"dx=\frac{\gamma r}{N}(N dy-\sum dy-\hat x\sum dy\,\hat x)",
        r"«d x» = «frac(«\gamma r»; N) (sum(+«N d y» -sum[](«d y») -«x~hat sum[](«d y x~hat»)»))»",
    ),
    (r"dS = P\circ(dP - \mathrm{rowsum}(dO\circ O))", "«d S» = «P circ (sum(+«d P» -«rowsum.mathrm («d O circ O»)»))»"),
    (
        r"dW^{[l]} = \frac1m dZ^{[l]} A^{[l-1]T}, \quad l = 1, \dots, L \tag{3}",
        r'«d W^{[l]}» = «frac(1; m) d Z^{[l]} A^{«[sum(+l -1)] T»}» # l = 1 # \dots # L # "3"',
    ),
    (r"a^{<t-1>} = b, \text{(chain rule)}", 'a^{⟨sum(+t -1)⟩} = b # "(chain rule)"'),
    (r"\| x - y \|^2 + |a||b| + ||z||_2^2", "sum(+‖sum(+x -y)‖^{2} +«|a| |b|» +‖z‖_{2}^{2})"),
    (
        r"\mathbb{1}[z>0] + \mathbf 1\{y = k\} + \mathbb 1_{z > 0}",
        "sum(+«1.mathbb [z > 0]» +«1.mathbf {y = k}» +1.mathbb_{z > 0})",
    ),
    (
        r"\text{ReLU}(z) = \begin{cases} z & \text{if } z > 0 \\ 0 & \text{otherwise} \end{cases}",
        '«ReLU.text (z)» = cases(z if z > 0 # "if "; 0 if "otherwise")',
    ),
    (
        r"f(z) = \left\{ \begin{array}{ll} z, & z > 0, \\ 0, & z \le 0. \end{array} \right.",
        "«f (z)» = cases(z if z > 0; 0 if z ≤ 0)",
    ),
    (
        "δ = (Wᵀδ₂) ⊙ σ′(z) ∂L/∂W x²",
        r"\delta = «(«W^{T} \delta_{2}») odot slash(«\sigma' (z) \partial L»; \partial) W x^{2}»",
    ),
    (r"\partial L/\partial W = \sigma(z)/2", r"«slash(«\partial L»; \partial) W» = slash(«\sigma (z)»; 2)"),
    ("$$ a = b. $$", "a = b"),
    (r"\begin{align*} a &= b \\ \end{align*}", "a = b"),
    ("&= \\frac{1}{2} x \\\\", " = «frac(1; 2) x»"),
    (
        r"\hat{\mathbf{y}}_i \overline{net} \hat y^{(1)\prime} w_5^+ w^{*} W_{i\cdot} e^{-x}",
        r"«y.mathbf~hat_{i} net~bar y~hat^{«(1) \prime»} w_{5}^{+} w^{*} W_{«i \cdot»} e^{sum(-x)}»",
    ),
    (
        r"\theta_{\text{new}} := \theta - \eta \nabla_\theta L \quad \text{(update)}",
        r'\theta_{"new"} := sum(+\theta -«\eta \nabla_{\theta} L») # "(update)"',
    ),
    (
        r"\operatorname*{argmax}_k p_k + \arg\max_k p_k + \max(0, z) + \max_{k\ne j} z_k",
        "sum(+argmax[k](p_{k}) +argmax[k](p_{k}) +«max (0, z)» +max[k ≠ j](z_{k}))",
    ),
    (r"p_i = e^{z_i} / \sum_k e^{z_k}", "p_{i} = slash(e^{z_{i}}; sum[k](e^{z_{k}}))"),
    (r"a \cdot -b c + 2\times -\sum_k c_k", "sum(+«a cdot sum(-b) c» +«2 times sum(-sum[k](c_{k}))»)"),
    (r"{W^{(2)}}^\top {\bf x} + \mathbf{Wx}", r"sum(+«<W^{(2)}>^{\top} x.mathbf» +«W.mathbf x.mathbf»)"),
    (r"a \stackrel{(1)}{=} b", 'a = b # "(1)"'),
    (r"x = \left( a + b \right)^2 \big[ c \big]", "x = «(sum(+a +b))^{2} [c]»"),
    ("W^{{l+1}}", "W^{sum(+l +1)}"),
    ("x^+ y", "«x^{+} y»"),
    ("= b", " = b"),
    ("|a|b|c|", "«|a| b |c|»"),
    (r"|\sum_k |x_k||", "|sum[k](|x_{k}|)|"),
    (r"\left| x \right| + \left\| x \right\|_2", "sum(+|x| +‖x‖_{2})"),
    (r"\lVert x \rVert_2^2 \langle x, y \rangle \lfloor x \rfloor", "«‖x‖_{2}^{2} ⟨x, y⟩ ⌊x⌋»"),
    ("x_ij", "«x_{i} j»"),
    (
        r"W_\text{new} + W_\mathrm{new} + x^\frac12 + x^\mathsf T + x_\hat y",
        "sum(+W_{new.text} +W_{new.mathrm} +x^{frac(1; 2)} +x^{T.mathsf} +x_{y~hat})",
    ),
    (r"\frac{a}{b}^2 \sqrt{x}^3", "«<frac(a; b)>^{2} <root(x)>^{3}»"),
    (r"\frac\partial{\partial W} L", r"«frac(\partial; «\partial W») L»"),
    (r"\frac12 \frac1{m} \frac{1}m \frac ab", "«frac(1; 2) frac(1; m) frac(1; m) frac(a; b)»"),
    ("1{,}000 + 0.5 + .5 + 1e-5 + 10^{-5} + 2.", "sum(+1000 +0.5 +.5 +1e-5 +10^{sum(-5)} +2)"),
    (r"\not= a", " ≠ a"),
    (r"a \not= b \not\in c", "a ≠ b ∉ c"),
    (r"f'' + f^{\prime\prime} + f^\prime + f^{'} + f^{(1)'}", "sum(+f'' +f'' +f' +f' +f^{(1)'})"),
    (
        r"\mathbf{W^{(2)}} + \boldsymbol{\delta^{(l)}} + \mathcal{LS} + \mathbf{\hat y} + \boldsymbol\delta",
        r"sum(+W.mathbf^{(2)} +\delta.boldsymbol^{(l)} +«L.mathcal S.mathcal» +y.mathbf~hat +\delta.boldsymbol)",
    ),
    (
        r"{\rm net}_j + \mathit{net} + \operatorname{log-softmax}(x) + \operatorname*{arg\,max}_k p",
        "sum(+net.mathrm_{j} +net.mathit +«log-softmax.operatorname (x)» +argmax[k](p))",
    ),
    (
        "x̂ + ŷ + 𝐖 𝑥 + 𝛿 + W⁽²⁾ᵀ + x₁₂ + ∑ᵢ xᵢ + Σ_k a_k + Σ a − b ≤ c",
        r"sum(+x~hat +y~hat +«W.mathbf x» +\delta +W^{«(2) T»} +x_{12} +sum[i](x_{i}) +sum[k](a_{k}) +«\Sigma "
        "a» -b) ≤ c",
    ),
    ("W_{i,:} + W_{:j} + x_{1:t}", "sum(+W_{i,:} +W_{«: j»} +x_{«1 : t»})"),
    (r"\text{loss} = a", "loss.text = a"),
    (r"L = \text{loss}", 'L = "loss"'),
    (r"d\text{loss} = \text{loss}/2", "«d loss.text» = slash(loss.text; 2)"),
    (r"\text{cost} = a \text{ for all } j", 'cost.text = a # " for all " # j'),
    (r"a = b \forall j", r"a = b # «\forall j»"),
    (r"a = b \quad \forall j \in \{1, \dots, n\}", r"a = b # «\forall j» ∈ {1, \dots, n}"),
    (r"a = b \quad (3)", "a = b # (3)"),
    (r"a = b \qquad (\text{by (2)})", 'a = b # ("by (2)")'),
    (r"a = b \quad c", "a = «b c»"),
    (r"a = b \quad j = 1,2", "a = b # j = 1 # 2"),
    (r"\sum\limits_{i=1}^{n} -y_i \log a_i", "sum[i = 1^n](sum(-«y_{i} log a_{i}»))"),
    (r"\sum_{j,k} a_{jk} \sum_i b_i + c", "sum(+sum[j, k](«a_{«j k»} sum[i](b_{i})») +c)"),
    (r"\sum^{n}_{i=1} x_i", "sum[i = 1^n](x_{i})"),
    (r"\sum_i\sum_j x_{ij} / n", "sum[i](sum[j](slash(x_{«i j»}; n)))"),
    (r"\prod_{i=1}^n x_i", "prod[i = 1^n](x_{i})"),
    (r"E_{x \sim p}[f(x)]", "«E_{x ∼ p} [«f (x)»]»"),
    (r"\mathbb{E}[x] + \mathbb{R}^{n \times m}", "sum(+«E.mathbb [x]» +R.mathbb^{«n times m»})"),
    (r"x \in \mathbb{R}^{n\times m}", "x ∈ R.mathbb^{«n times m»}"),
    ("a % comment", "a"),
    (r"\boxed{dW = \frac{1}{m} dZ A^T}", "«d W» = «frac(1; m) d Z A^{T}»"),
    (r"a = b \label{eq:1} \nonumber", "a = b"),
    ("a := b", "a := b"),
    ("a < -b", "a < sum(-b)"),
    ("z <= 0", "z ≤ 0"),
    (r"\mathrm{softmax}(z)_i \log p_k \exp(z)", "«softmax.mathrm (z)_{i} log p_{k} exp (z)»"),
    ("[h_{t-1}; x_t]", "[h_{sum(+t -1)}, x_{t}]"),
    (r"\begin{cases} 1 \\ 0 \end{cases}", "cases(1 if ; 0 if )"),
    (
        r"\begin{cases} 1 & z > 0 \text{ and } z < 1 \\ 0 & \text{else.} \end{cases}",
        'cases(1 if z > 0 # " and " # z < 1; 0 if "else.")',
    ),
    (
        r"\begin{cases} 1, & \text{if } k = j, \\ 0, & \text{otherwise} \end{cases}_k",
        '<cases(1 if k = j # "if "; 0 if "otherwise")>_{k}',
    ),
    ("a_1_2^3^4'", "a_{1}_{2}^{3}^{4}'"),
    ("-a + -b - -c", "sum(-a +sum(-b) -sum(-c))"),
    ("--a", "sum(-sum(-a))"),
    (r"\partial^2 L / \partial w_i \partial w_j", r"«slash(«\partial^{2} L»; \partial) w_{i} \partial w_{j}»"),
    (r"\left(\frac{\partial L}{\partial z}\right)^\top", r"(frac(«\partial L»; «\partial z»))^{\top}"),
    (r"\big( a \bigr)", "(a)"),
    (r"x^{\langle t-1\rangle} \Gamma_u^{\langle t\rangle}", r"«x^{⟨sum(+t -1)⟩} \Gamma_{u}^{⟨t⟩}»"),
    (r"a^{[l](i)} a^{(i)[l]} a^{[l]\{t\}}", "«a^{«[l] (i)»} a^{«(i) [l]»} a^{«[l] {t}»}»"),
    ("a &= b & = c", "a = b = c"),
    (r"\delta^L = \nabla_a C \odot \sigma'(z^L)", r"\delta^{L} = «\nabla_{a} C odot \sigma' (z^{L})»"),
    (
        r"\delta^l = ((w^{l+1})^T \delta^{l+1}) \odot \sigma'(z^l)",
        r"\delta^{l} = «(«(w^{sum(+l +1)})^{T} \delta^{sum(+l +1)}») odot \sigma' (z^{l})»",
    ),
    (r"\frac{\partial C}{\partial b^l_j} = \delta^l_j", r"frac(«\partial C»; «\partial b^{l}_{j}») = \delta^{l}_{j}"),
    (
        r"\frac{\partial C}{\partial w^l_{jk}} = a^{l-1}_k \delta^l_j",
        r"frac(«\partial C»; «\partial w^{l}_{«j k»}») = «a^{sum(+l -1)}_{k} \delta^{l}_{j}»",
    ),
    (r"\delta_j \equiv \frac{\partial E_n}{\partial a_j}", r"\delta_{j} ≡ frac(«\partial E_{n}»; «\partial a_{j}»)"),
    (r"\delta_j = h'(a_j) \sum_k w_{kj} \delta_k", r"\delta_{j} = «h' (a_{j}) sum[k](«w_{«k j»} \delta_{k}»)»"),
    (
        r"\frac{\partial E_n}{\partial w_{ji}^{(1)}} = \delta_j x_i, \qquad \frac{\partial E_n}{\partial "
        r"w_{kj}^{(2)}} = \delta_k z_j",
        r"frac(«\partial E_{n}»; «\partial w_{«j i»}^{(1)}») = «\delta_{j} x_{i}» # frac(«\partial E_{n}»; "
        r"«\partial w_{«k j»}^{(2)}») = «\delta_{k} z_{j}»",
    ),
    (r"y_k = \frac{\exp(a_k)}{\sum_j \exp(a_j)}", "y_{k} = frac(«exp (a_{k})»; sum[j](«exp (a_{j})»))"),
    (
        r"E(\mathbf{w}) = -\sum_{n=1}^{N} \sum_{k=1}^{K} t_{kn} \ln y_k(\mathbf{x}_n, \mathbf{w})",
        "«E (w.mathbf)» = sum(-sum[n = 1^N](sum[k = 1^K](«t_{«k n»} ln y_{k} (x.mathbf_{n}, w.mathbf)»)))",
    ),
    (
        r"\boldsymbol{h}^{(t)} = \tanh(\boldsymbol{b} + \boldsymbol{W}\boldsymbol{h}^{(t-1)} + "
        r"\boldsymbol{U}\boldsymbol{x}^{(t)})",
        "h.boldsymbol^{(t)} = «tanh (sum(+b.boldsymbol +«W.boldsymbol h.boldsymbol^{(sum(+t -1))}» "
        "+«U.boldsymbol x.boldsymbol^{(t)}»))»",
    ),
    (
        r"\nabla_{\boldsymbol{W}} L = \sum_t \sum_i \left( \frac{\partial L}{\partial h_i^{(t)}} \right) "
        r"\nabla_{\boldsymbol{W}^{(t)}} h_i^{(t)}",
        r"«\nabla_{W.boldsymbol} L» = sum[t](sum[i](«(frac(«\partial L»; «\partial h_{i}^{(t)}»)) "
        r"\nabla_{W.boldsymbol^{(t)}} h_{i}^{(t)}»))",
    ),
    (
        r"\nabla_{\boldsymbol{h}^{(t)}} L = \left(\frac{\partial \boldsymbol{h}^{(t+1)}}{\partial "
        r"\boldsymbol{h}^{(t)}}\right)^\top (\nabla_{\boldsymbol{h}^{(t+1)}} L)",
        r"«\nabla_{h.boldsymbol^{(t)}} L» = «(frac(«\partial h.boldsymbol^{(sum(+t +1))}»; «\partial "
        r"h.boldsymbol^{(t)}»))^{\top} («\nabla_{h.boldsymbol^{(sum(+t +1))}} L»)»",
    ),
    (
        r"= \boldsymbol{W}^\top \operatorname{diag}\left(1 - \left(\boldsymbol{h}^{(t+1)}\right)^2\right) "
        r"(\nabla_{\boldsymbol{h}^{(t+1)}} L)",
        r" = «W.boldsymbol^{\top} diag.operatorname (sum(+1 -(h.boldsymbol^{(sum(+t +1))})^{2})) "
        r"(«\nabla_{h.boldsymbol^{(sum(+t +1))}} L»)»",
    ),
    (
        r"dW_{aa} = \sum_{t} (1-\tanh^2(W_{ax}x^{\langle t \rangle}+W_{aa} a^{\langle t-1 \rangle} + b_{a})) "
        r"a^{\langle t-1 \rangle T}\tag{2}",
        "«d W_{«a a»}» = sum[t](«(sum(+1 -«tanh^{2} (sum(+«W_{«a x»} x^{⟨t⟩}» +«W_{«a a»} a^{⟨sum(+t -1)⟩}» "
        '+b_{a}))»)) a^{«⟨sum(+t -1)⟩ T»}») # "2"',
    ),
    (
        r"\displaystyle \frac{\partial \tanh(x)} {\partial x} = 1 - \tanh(x)^2",
        r"frac(«\partial tanh (x)»; «\partial x») = sum(+1 -«tanh (x)^{2}»)",
    ),
    (
        r"d\gamma_o^{\langle t \rangle} = da_{next}*\tanh(c_{next}) * \Gamma_o^{\langle t "
        r"\rangle}*\left(1-\Gamma_o^{\langle t \rangle}\right)\tag{7}",
        r"«d \gamma_{o}^{⟨t⟩}» = «d a_{«n e x t»} * tanh (c_{«n e x t»}) * \Gamma_{o}^{⟨t⟩} * (sum(+1 "
        r'-\Gamma_{o}^{⟨t⟩}))» # "7"',
    ),
    (
        r"dp\widetilde{c}^{\langle t \rangle} = \left(dc_{next}*\Gamma_u^{\langle t \rangle}+ "
        r"\Gamma_o^{\langle t \rangle}* (1-\tanh^2(c_{next})) * \Gamma_u^{\langle t \rangle} * da_{next} "
        r"\right) * \left(1-\left(\widetilde c^{\langle t \rangle}\right)^2\right) \tag{8}",
        r"«d p c~tilde^{⟨t⟩}» = «(sum(+«d c_{«n e x t»} * \Gamma_{u}^{⟨t⟩}» +«\Gamma_{o}^{⟨t⟩} * (sum(+1 "
        r"-«tanh^{2} (c_{«n e x t»})»)) * \Gamma_{u}^{⟨t⟩} * d a_{«n e x t»}»)) * (sum(+1 "
        '-(c~tilde^{⟨t⟩})^{2}))» # "8"',
    ),
    (
        r"J = -\frac{1}{m} \sum\limits_{i = 1}^{m} \large\left(\small y^{(i)}\log\left(a^{[L] (i)}\right) + "
        r"(1-y^{(i)})\log\left(1- a^{[L](i)}\right) \large \right) \tag{13}",
        "J = sum(-«frac(1; m) sum[i = 1^m]((sum(+«y^{(i)} log (a^{«[L] (i)»})» +«(sum(+1 -y^{(i)})) log "
        '(sum(+1 -a^{«[L] (i)»}))»)))») # "13"',
    ),
    (
        r"dW^{[l]} = \frac{\partial \mathcal{J} }{\partial W^{[l]}} = \frac{1}{m} dZ^{[l]} A^{[l-1] T}",
        r"«d W^{[l]}» = frac(«\partial J.mathcal»; «\partial W^{[l]}») = «frac(1; m) d Z^{[l]} A^{«[sum(+l -1)] T»}»",
    ),
    (
        r"db^{[l]} = \frac{1}{m} \sum_{i = 1}^{m} dZ^{[l](i)}",
        "«d b^{[l]}» = «frac(1; m) sum[i = 1^m](«d Z^{«[l] (i)»}»)»",
    ),
    ("dA^{[l-1]} = W^{[l] T} dZ^{[l]}", "«d A^{[sum(+l -1)]}» = «W^{«[l] T»} d Z^{[l]}»"),
    (
        r"L_i = -\log\left(\frac{e^{f_{y_i}}}{ \sum_j e^{f_j} }\right) \hspace{0.5in} \text{or equivalently} "
        r"\hspace{0.5in} L_i = -f_{y_i} + \log\sum_j e^{f_j}",
        'L_{i} = sum(-«log (frac(e^{f_{y_{i}}}; sum[j](e^{f_{j}})))») # "or equivalently" # L_{i} = '
        "sum(-f_{y_{i}} +«log sum[j](e^{f_{j}})»)",
    ),
    (
        r"L_i = \sum_{j\neq y_i} \left[ \max(0, w_j^Tx_i - w_{y_i}^Tx_i + \Delta) \right]",
        r"L_{i} = sum[j ≠ y_{i}]([«max (0, sum(+«w_{j}^{T} x_{i}» -«w_{y_{i}}^{T} x_{i}» +\Delta))»])",
    ),
    (
        r"\nabla_{w_{y_i}} L_i = - \left( \sum_{j\neq y_i} \mathbb{1}(w_j^Tx_i - w_{y_i}^Tx_i + \Delta > 0) "
        r"\right) x_i",
        r"«\nabla_{w_{y_{i}}} L_{i}» = sum(-«(sum[j ≠ y_{i}](«1.mathbb (sum(+«w_{j}^{T} x_{i}» "
        r"-«w_{y_{i}}^{T} x_{i}» +\Delta) > 0)»)) x_{i}»)",
    ),
    (
        r"\frac{\partial L_i }{ \partial f_k } = p_k - \mathbb{1}(y_i = k)",
        r"frac(«\partial L_{i}»; «\partial f_{k}») = sum(+p_{k} -«1.mathbb (y_{i} = k)»)",
    ),
    (
        r"\frac{\partial \ell}{\partial \sigma_{\mathcal{B}}^2} = \sum_{i=1}^{m} \frac{\partial "
        r"\ell}{\partial \widehat{x}_i} \cdot (x_i - \mu_{\mathcal{B}}) \cdot "
        r"\frac{-1}{2}(\sigma_{\mathcal{B}}^2 + \epsilon)^{-3/2}",
        r"frac(«\partial \ell»; «\partial \sigma_{B.mathcal}^{2}») = sum[i = 1^m](«frac(«\partial \ell»; "
        r"«\partial x~hat_{i}») cdot (sum(+x_{i} -\mu_{B.mathcal})) cdot frac(sum(-1); 2) "
        r"(sum(+\sigma_{B.mathcal}^{2} +\epsilon))^{sum(-slash(3; 2))}»)",
    ),
    (
        r"\frac{\partial \ell}{\partial \mu_{\mathcal B}} = \left(\sum_{i=1}^m \frac{\partial \ell}{\partial "
        r"\widehat{x}_i} \cdot \frac{-1}{\sqrt{\sigma_{\mathcal B}^2+\epsilon}}\right) + \frac{\partial "
        r"\ell}{\partial \sigma^2_{\mathcal B}} \cdot \frac{\sum_{i=1}^m -2(x_i-\mu_{\mathcal B})}{m}",
        r"frac(«\partial \ell»; «\partial \mu_{B.mathcal}») = sum(+(sum[i = 1^m](«frac(«\partial \ell»; "
        r"«\partial x~hat_{i}») cdot frac(sum(-1); root(sum(+\sigma_{B.mathcal}^{2} +\epsilon)))»)) "
        r"+«frac(«\partial \ell»; «\partial \sigma^{2}_{B.mathcal}») cdot frac(sum[i = 1^m](sum(-«2 "
        r"(sum(+x_{i} -\mu_{B.mathcal}))»)); m)»)",
    ),
    (
        r"\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\left(\frac{QK^T}{\sqrt{d_k}}\right)V",
        "«Attention.mathrm (Q, K, V)» = «softmax.mathrm (frac(«Q K^{T}»; root(d_{k}))) V»",
    ),
    (
        r"v_t = \beta_1 v_{t-1} + (1-\beta_1) g_t^2",
        r"v_{t} = sum(+«\beta_{1} v_{sum(+t -1)}» +«(sum(+1 -\beta_{1})) g_{t}^{2}»)",
    ),
    (
        r"\theta_t = \theta_{t-1} - \alpha \cdot \hat m_t / (\sqrt{\hat v_t} + \epsilon)",
        r"\theta_{t} = sum(+\theta_{sum(+t -1)} -«\alpha cdot slash(m~hat_{t}; (sum(+root(v~hat_{t}) +\epsilon)))»)",
    ),
    (
        r"\frac{\partial E}{\partial w_{ij}} = \frac{\partial E}{\partial o_j} \frac{\partial o_j}{\partial "
        r"\text{net}_j} \frac{\partial \text{net}_{j}}{\partial w_{ij}}",
        r"frac(«\partial E»; «\partial w_{«i j»}») = «frac(«\partial E»; «\partial o_{j}») frac(«\partial "
        r"o_{j}»; «\partial net.text_{j}») frac(«\partial net.text_{j}»; «\partial w_{«i j»}»)»",
    ),
    (
        r"\delta_j = \begin{cases} (o_j-t_j)o_j(1-o_{j}) & \text{if } j \text{ is an output neuron,}\\ "
        r"(\sum_{\ell\in L} w_{j \ell} \delta_\ell)o_j(1-o_j) & \text{if } j \text{ is an inner neuron.} "
        r"\end{cases}",
        r'\delta_{j} = cases(«(sum(+o_{j} -t_{j})) o_{j} (sum(+1 -o_{j}))» if j # "if " # " is an output '
        r'neuron,"; «(sum[\ell ∈ L](«w_{«j \ell»} \delta_{\ell}»)) o_{j} (sum(+1 -o_{j}))» if j # "if " # " '
        'is an inner neuron.")',
    ),
    (
        r"\frac{\partial p_i}{\partial z_j} = p_i(\delta_{ij} - p_j) = \begin{cases} p_i(1-p_i), & i = j \\ "
        r"-p_i p_j, & i \neq j \end{cases}",
        r"frac(«\partial p_{i}»; «\partial z_{j}») = «p_{i} (sum(+\delta_{«i j»} -p_{j}))» = cases(«p_{i} "
        "(sum(+1 -p_{i}))» if i = j; sum(-«p_{i} p_{j}») if i ≠ j)",
    ),
    (
        r"w_5^+ = w_5 - \eta * \frac{\partial E_{total}}{\partial w_5} = 0.4 - 0.5 * 0.082167041 = 0.35891648",
        r"w_{5}^{+} = sum(+w_{5} -«\eta * frac(«\partial E_{«t o t a l»}»; «\partial w_{5}»)») = sum(+0.4 "
        "-«0.5 * 0.082167041») = 0.35891648",
    ),
    (
        r"\frac{\partial E_{total}}{\partial w_{5}} = \frac{\partial E_{total}}{\partial out_{o1}} * "
        r"\frac{\partial out_{o1}}{\partial net_{o1}} * \frac{\partial net_{o1}}{\partial w_{5}}",
        r"frac(«\partial E_{«t o t a l»}»; «\partial w_{5}») = «frac(«\partial E_{«t o t a l»}»; «\partial o "
        r"u t_{«o 1»}») * frac(«\partial o u t_{«o 1»}»; «\partial n e t_{«o 1»}») * frac(«\partial n e t_{«o "
        r"1»}»; «\partial w_{5}»)»",
    ),
    (
        r"f_t = \sigma(W_f \cdot [h_{t-1}, x_t] + b_f)",
        r"f_{t} = «\sigma (sum(+«W_{f} cdot [h_{sum(+t -1)}, x_{t}]» +b_{f}))»",
    ),
    (r"L = \frac{1}{2}\|y - \hat{y}\|^2_2", "L = «frac(1; 2) ‖sum(+y -y~hat)‖^{2}_{2}»"),
    ("||Ax - b||^2", "‖sum(+«A x» -b)‖^{2}"),
    (r"\left\lVert x \right\rVert", "‖x‖"),
    (
        r"\sum_{i} x_i y_i \; \text{ for } i = 1, 2, \ldots, n",
        r'sum[i](«x_{i} y_{i}») # " for " # i = 1 # 2 # \ldots # n',
    ),
    (r"W^{(2)}{}^\top", r"W^{(2)}^{\top}"),
    (r"a^{[l]\top}", r"a^{«[l] \top»}"),
    (r"W^{[l]\,T}", "W^{«[l] T»}"),
    (r"X^{\mathsf{T}} X^{\mathrm T}", "«X^{T.mathsf} X^{T.mathrm}»"),
    (r"\mathrm{d}W = \mathrm d L", "«d.mathrm W» = «d.mathrm L»"),
    (
        r"\frac{\partial\mathcal L}{\partial\mathbf W}=\mathbf x\,\boldsymbol\delta^{\!\top}",
        r"frac(«\partial L.mathcal»; «\partial W.mathbf») = «x.mathbf \delta.boldsymbol^{\top}»",
    ),
    (r"\partial_w L, \nabla L", r"«\partial_{w} L» # «\nabla L»"),
    (r"E\left[ x \right]_{i}", "«E [x]_{i}»"),
    (
        r"\mathrm{d}\sigma(x)/\mathrm{d}x = \sigma(x)(1-\sigma(x))",
        r"«slash(«d.mathrm \sigma (x)»; d.mathrm) x» = «\sigma (x) (sum(+1 -«\sigma (x)»))»",
    ),
    (r"\operatorname{vec}(A) \otimes B", "«vec.operatorname (A) otimes B»"),
    (r"H(p, q) = - \sum_x p(x) \, \log q(x)", "«H (p, q)» = sum(-sum[x](«p (x) log q (x)»))"),
    (
        r"\frac{\mathrm{d} L}{\mathrm{d} W} \in \mathbb{R}^{m \times n}",
        "frac(«d.mathrm L»; «d.mathrm W») ∈ R.mathbb^{«m times n»}",
    ),
    (r"\mathbf{1}^\top \mathbf{x} + \mathbf{11}^T", r"sum(+«1.mathbf^{\top} x.mathbf» +11.mathbf^{T})"),
    (r"\mathrm{Tr}[A] = \sum_i A_{ii}", "«Tr.mathrm [A]» = sum[i](A_{«i i»})"),
    (r"\sum_{n=1}^N\{t_n - y_n\}x_n", "sum[n = 1^N](«{sum(+t_{n} -y_{n})} x_{n}»)"),
    (
        r"\Delta w_{ij} = -\eta \frac{\partial E}{\partial w_{ij}} = -\eta \delta_j o_i",
        r"«\Delta w_{«i j»}» = sum(-«\eta frac(«\partial E»; «\partial w_{«i j»}»)») = sum(-«\eta \delta_{j} o_{i}»)",
    ),
    (r"\tanh'(x) = 1 - \tanh^2(x) = \text{sech}^2(x)", "«tanh' (x)» = sum(+1 -«tanh^{2} (x)») = «sech.text^{2} (x)»"),
    (r"\text{softmax}\,(z)", "«softmax.text (z)»"),
    (r"\textrm{if } a", '«"if " a»'),
    (r"\operatorname{sign}(W) \max_{1 \le i \le n} x_i", "«sign.operatorname (W) max[1 ≤ i ≤ n](x_{i})»"),
    (r"\min\limits_{w} \mathcal{L}(w)", "min[w](«L.mathcal (w)»)"),
    (r"\frac{d}{dx}\left[ \frac{1}{1+e^{-x}} \right]", "«frac(d; «d x») [frac(1; sum(+1 +e^{sum(-x)}))]»"),
    (r"\widehat{\textbf{y}}", "y.text~hat"),
    (r"\textbf{W}x", "«W.text x»"),
    (r"\delta = W^{(2)}{}^\top", r"\delta = W^{(2)}^{\top}"),
    (r"\textbf{W}x + W^{\text{T}}", "sum(+«W.text x» +W^{T.text})"),
    (r"\mathbf{Wx}^T", "<«W.mathbf x.mathbf»>^{T}"),
    (r"\mathbf{dW}^{[1]}", "<«d.mathbf W.mathbf»>^{[1]}"),
    (r"-{a} \sum_k b_k", "sum(-«a sum[k](b_{k})»)"),
    (r"\frac{\bf x}{\rm net}", "frac(x.mathbf; net.mathrm)"),
    (r"x^{\{1\}[2](3)}", "x^{«{1} [2] (3)»}"),
    ("a / b / c", "slash(slash(a; b); c)"),
    ("a b / c d / e", "slash(«slash(«a b»; c) d»; e)"),
    ("f(x)'", "«f (x)'»"),
    ("(W x)^{T}{}'", "(«W x»)^{T}'"),
    (r"y^{(i)} \ne \hat{y}^{(i)}", "y^{(i)} ≠ y~hat^{(i)}"),
    (r"\Gamma_u^{\langle t\rangle} * c", r"«\Gamma_{u}^{⟨t⟩} * c»"),
    (r"\tilde{\mathbf{c}}_t", "c.mathbf~tilde_{t}"),
    (r"\vec{x} \cdot \vec y", "«x~vec cdot y~vec»"),
    (r"\dot x \ddot{x} \check x", "«x~dot x~ddot x~check»"),
    (r"\sigma\big(z^{(2)}\big)", r"«\sigma (z^{(2)})»"),
    (r"\left\|\left|x\right|\right\|", "‖|x|‖"),
    (r"\sum_{k=1}^K\left|y_k\right|", "sum[k = 1^K](|y_{k}|)"),
    (r"\prod_{i<j} x_i", "prod[i < j](x_{i})"),
    ("W^{[1]}_{:, j}", "W^{[1]}_{:,j}"),
    (r"h_{t}^{\prime}", "h_{t}'"),
    (r"y^{\prime(1)}", r"y^{«\prime (1)»}"),
    ("w^{+} - w^{-}", "sum(+w^{+} -w^{-})"),
    ("a^{*}_{ij}", "a^{*}_{«i j»}"),
    (
        r"z^{[l]}_j = \sum_i w^{[l]}_{ji} a^{[l-1]}_i + b^{[l]}_j",
        "z^{[l]}_{j} = sum(+sum[i](«w^{[l]}_{«j i»} a^{[sum(+l -1)]}_{i}») +b^{[l]}_{j})",
    ),
    (r"\lambda/2m \, \|W\|_F^2", r"«slash(\lambda; 2) m ‖W‖_{F}^{2}»"),
    (r"\exp\left(-\frac{(x-\mu)^2}{2\sigma^2}\right)", r"«exp (sum(-frac((sum(+x -\mu))^{2}; «2 \sigma^{2}»)))»"),
    (r"\operatorname{ReLU}'(z)", "«ReLU.operatorname' (z)»"),
    (r"\mathcal{L} = -\log p_{y}", "L.mathcal = sum(-«log p_{y}»)"),
    ("A^{-1} (A^{-1})^T A^{-T}", "«A^{sum(-1)} (A^{sum(-1)})^{T} A^{sum(-T)}»"),
    (r"\sqrt{1-\beta_2^t}", r"root(sum(+1 -\beta_{2}^{t}))"),
    (r"\max\left(0, z\right) \min\{a, b\}", "«max (0, z) min {a, b}»"),
    (r"\sup_{x} f(x)", "sup[x](«f (x)»)"),
    (r"1 - y \log \hat{y}", "sum(+1 -«y log y~hat»)"),
    (r"\frac{1}{1 + \exp(-z)}", "frac(1; sum(+1 +«exp (sum(-z))»))"),
    (r"\sigma'(z) = \sigma(z)\,(1 - \sigma(z)).", r"«\sigma' (z)» = «\sigma (z) (sum(+1 -«\sigma (z)»))»"),
    (r"\tanh^{-1}(x)", "«tanh^{sum(-1)} (x)»"),
    (r"\mathbb{1}\{z > 0\}", "«1.mathbb {z > 0}»"),
    (r"\mathbb{I}(y = k)", "«I.mathbb (y = k)»"),
    ("[z > 0]", "[z > 0]"),
    (r"y \in \{0, 1\}", "y ∈ {0, 1}"),
    (r"x \gets x - \eta g", r"x <- sum(+x -«\eta g»)"),
    (r"W^{new} = W^{old} - \alpha \, dW", r"W^{«n e w»} = sum(+W^{«o l d»} -«\alpha d W»)"),
    ("dZ2 = A2 - Y", "«d Z 2» = sum(+«A 2» -Y)"),
    ("dW1 = 1/m * dZ1 X^T", "«d W 1» = «slash(1; m) * d Z 1 X^{T}»"),
    ("δ₂ = (a₂ − y) ∘ σ′(z₂)", r"\delta_{2} = «(sum(+a_{2} -y)) circ \sigma' (z_{2})»"),
    ("∂E/∂wᵢⱼ = δⱼ oᵢ", r"«slash(«\partial E»; \partial) w_{«i j»}» = «\delta_{j} o_{i}»"),
    ("∇_W L = X^⊤(ŷ − y)", r"«\nabla_{W} L» = «X^{\top} (sum(+y~hat -y))»"),
    ("θ ← θ − η∇L", r"\theta <- sum(+\theta -«\eta \nabla L»)"),
    ("σ(z) = 1/(1+e^{−z})", r"«\sigma (z)» = slash(1; (sum(+1 +e^{sum(-z)})))"),
    ("‖x‖² ≤ 1", "‖x‖^{2} ≤ 1"),
    ("√{x} ≠ ∞", r"root(x) ≠ \infty"),
    (r"\sum_{i=1}^{n} \sum_{j \neq i} a_{ij}", "sum[i = 1^n](sum[j ≠ i](a_{«i j»}))"),
    (r"\sum_{i,j=1}^n x", "sum[i, j = 1^n](x)"),
    (r"\left(\begin{cases} 1 & a \\ 2 & b\end{cases}\right)", "(cases(1 if a; 2 if b))"),
    (r"\overset{(a)}{=} b", ' = b # "(a)"'),
    (r"a \stackrel{\text{def}}{=} b", r'a = b # "\text{def}"'),
    (
        r"\Delta^{(l)} := \Delta^{(l)} + \delta^{(l+1)} (a^{(l)})^T",
        r"\Delta^{(l)} := sum(+\Delta^{(l)} +«\delta^{(sum(+l +1))} (a^{(l)})^{T}»)",
    ),
    (r"\frac{\partial}{\partial W} L", r"«frac(\partial; «\partial W») L»"),
    (r"\frac{\mathrm d}{\mathrm dx} f", "«frac(d.mathrm; «d.mathrm x») f»"),
    (r"a \cdot \text{loss} + b", "sum(+«a cdot loss.text» +b)"),
    (r"\text{softmax}(z)_i (\delta_{ij} - p_j)", r"«softmax.text (z)_{i} (sum(+\delta_{«i j»} -p_{j}))»"),
    (r"\operatorname{softmax}_i(z)", "«softmax.operatorname_{i} (z)»"),
    (r"x^{\rm T} y", "«x^{T.mathrm} y»"),
    ("Σᵢ xᵢ² + Σ⁻¹", r"sum(+sum[i](x_{i}^{2}) +\Sigma^{sum(-1)})"),
    (r"\text{argmax}_k p_k", "argmax[k](p_{k})"),
    (r"x = a, \; i = 1,2,\dots,n", r"x = a # i = 1 # 2 # \dots # n"),
    (r"\sigma'\left(z^{(1)}_j\right)", r"«\sigma' (z^{(1)}_{j})»"),
    (r"\hat{p}_k^{(i)} - y_k^{(i)}", "sum(+p~hat_{k}^{(i)} -y_{k}^{(i)})"),
    ("{}a", "a"),
    (
        r"\delta^{(L)} = \nabla_{a^{(L)}} \mathcal{L} \odot {\sigma^{(L)}}'(z^{(L)}),",
        r"\delta^{(L)} = «\nabla_{a^{(L)}} L.mathcal odot <\sigma^{(L)}>' (z^{(L)})»",
    ),
    (r"\frac{\partial^2 L}{\partial w_i\,\partial w_j}", r"frac(«\partial^{2} L»; «\partial w_{i} \partial w_{j}»)"),
    ("W_{0 1} x_{0} + W^{(1.2.1)}_{Q}", "sum(+«W_{«0 1»} x_{0}» +W^{(1.2.1)}_{Q})"),
    (r"z_{\lfloor j / 5 \rfloor \bmod 5, j \bmod 5}", "z_{«⌊slash(j; 5)⌋ mod 5»,«j mod 5»}"),
    (r"&\quad\text{chain rule through $p$}:", '"chain rule through $p$"'),
    (
        r"\left\langle \log\left(p\right),\, \operatorname{onehot}\left(y\right) \right\rangle",
        "⟨«log (p)», «onehot.operatorname (y)»⟩",
    ),
    (
        r"&\qquad \delta^{(2)}_{i j} = \left(a_{i j} \, \left(1 - \sigma\left(z_{i j}\right)\right)\right) \, "
        r"\sum_{k} W_{k j}",
        r"\delta^{(2)}_{«i j»} = «(«a_{«i j»} (sum(+1 -«\sigma (z_{«i j»})»))») sum[k](W_{«k j»})»",
    ),
]
